//! Refused settings, and the text of `--help`.

use testkit::{Process, peer::Peer};

use crate::{NO_REDIS, end, load};

#[test]
fn a_load_without_an_end_is_refused_with_the_flags_that_set_one() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    for settings in [
        &[][..],
        &[("DURATION", ""), ("HASHES", "")],
        &[("RATE", "10")],
        &[("OUTPUT", "json")],
        &[("ROUNDS", "3")],
        &[("WARM_UP", "1s")],
        &[("COMPARE", "--duration 1s")],
    ] {
        let (code, output, errors) = end(load(&rng, &hasher, NO_REDIS, settings));
        assert_eq!((code, output.len()), (Some(2), 0), "{settings:?}: {output:?} {errors}");
        let expected =
            "error: DURATION: a load needs an end; right would be --duration 30s or --hashes 1000";
        assert_eq!(errors, expected, "{settings:?}");
    }
}

#[test]
fn a_wrong_setting_is_one_line_with_a_right_value() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    for (settings, right) in [
        (&[("RATE", "-1")][..], "50 or 1000"),
        (&[("RATE", "1e-300")], "50 or 1000"),
        (&[("RATE", "1e9")], "50 or 1000"),
        (&[("EXPECT", "fast")], "p99<5ms"),
        (&[("DURATION", "soon")], "100ms, 2s or 1m30s"),
        (&[("DURATION", "0s")], "a duration above 0s"),
        (&[("HASHES", "0")], "a whole number from 1"),
        (&[("HASHES", "1e3")], "a whole number from 1"),
        (&[("STALL_TIMEOUT", "never")], "STALL_TIMEOUT"),
        (&[("COMPARE", "batch=32")], "such as '--batch 32'"),
        (&[("COMPARE", "--help")], "right would be a flag of the worker or of the load profile"),
        (&[("COMPARE", "--concurency 2")], "--concurency"),
        (&[("COMPARE", "--batch 0")], "--batch"),
        (
            &[("COMPARE", "--threads 1")],
            "right would be a flag of the worker or of the load profile",
        ),
        (
            &[("COMPARE", "--output json")],
            "right would be a flag of the worker or of the load profile",
        ),
        (&[("EXPECT", "ratio>1")], "--compare '--batch 32'"),
        (&[("ROUNDS", "3")], "--compare '--batch 32'"),
    ] {
        let settings = [&[("HASHES", "1")], settings].concat();
        let (code, output, errors) = end(load(&rng, &hasher, NO_REDIS, &settings));
        assert_eq!((code, output.len()), (Some(2), 0), "{settings:?}: {output:?} {errors}");
        assert!(errors.contains(right), "{settings:?}: {errors}");
        assert_eq!(errors.matches("right would be").count(), 1, "{settings:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{settings:?}: {errors}");
    }
}

#[test]
fn an_error_shows_no_password_of_variant_b() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    for flags in
        ["redis://:secret@elsewhere", "--redis-url redis://:secret", "--redis redis://:secret@b"]
    {
        let settings = [("HASHES", "1"), ("COMPARE", flags)];
        let (code, _, errors) = end(load(&rng, &hasher, NO_REDIS, &settings));
        assert_eq!(code, Some(2), "{flags}: {errors}");
        assert!(errors.contains("COMPARE: ") && !errors.contains("secret"), "{flags}: {errors}");
    }
}

#[test]
fn help_shows_no_password_of_variant_b() {
    let compare = [("COMPARE", "--redis-url redis://:secret@elsewhere:6379")];
    let (code, output, _) = end(Process::start(env!("CARGO_BIN_EXE_load"), &["--help"], &compare));
    assert_eq!(code, Some(0));
    assert!(output[0].starts_with("Generates load on rng and hasher"), "{output:#?}");
    assert!(output.iter().any(|line| line.contains("COMPARE")), "{output:#?}");
    assert!(!output.iter().any(|line| line.contains("secret")), "{output:#?}");
}
