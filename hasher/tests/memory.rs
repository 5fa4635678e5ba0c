//! The memory and the threads of hasher, which only Linux reports.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    fs,
    io::{BufReader, Read, Write},
    thread,
};

use testkit::{Client, Process};

const MIB: usize = 1024 * 1024;

/// head -c 104857600 /dev/zero | tr '\0' a | sha256sum
const HUNDRED_MIB_OF_A: &str = "cee41e98d0a6ad65cc0ec77a2ba50bf26d64dc9007f7f1c7d7df68b8b71291a6";

fn program() -> Process {
    Process::service(env!("CARGO_BIN_EXE_hasher"), &[("DELAY", "0s")])
}

#[test]
fn large_bodies_use_constant_memory() {
    let hasher = program();
    let address = hasher.address("LISTEN");
    Client::get(address, "/");
    let before = hasher.peak_memory();
    let mut client = Client::connect(address);
    let length = 100 * MIB;
    client.send(format!("POST / HTTP/1.1\r\nHost: hasher\r\nContent-Length: {length}\r\n\r\n"));
    let block = vec![b'a'; MIB];
    for _ in 0..100 {
        client.send(&block);
    }
    let response = client.response();
    assert_eq!(response.text(), HUNDRED_MIB_OF_A);
    let growth = hasher.peak_memory() - before;
    assert!(growth < 40 * MIB, "{growth} bytes more");
}

#[test]
fn large_batches_use_constant_memory() {
    let hasher = program();
    let address = hasher.address("LISTEN");
    let before = hasher.peak_memory();
    let mut client = Client::connect(address);
    let length = 64 * MIB;
    client.send(format!(
        "POST /blocks/32 HTTP/1.1\r\nHost: hasher\r\nContent-Length: {length}\r\n\r\n"
    ));
    let mut sender = client.socket().try_clone().unwrap();
    let sending =
        thread::spawn(move || (0..64).for_each(|_| sender.write_all(&[b'a'; MIB]).unwrap()));
    let mut chunks = BufReader::new(client.socket().try_clone().unwrap());
    let mut received = 0;
    let mut piece = vec![0; MIB];
    while received < length / 32 * 65 {
        let read = chunks.read(&mut piece).unwrap();
        assert!(read > 0, "only {received} bytes");
        received += read;
    }
    sending.join().unwrap();
    let growth = hasher.peak_memory() - before;
    assert!(growth < 20 * MIB, "{growth} bytes more");
}

#[test]
fn the_process_has_one_thread_more_than_the_runtime_has_workers() {
    let threads = |settings: &[(&str, &str)]| {
        let hasher = Process::service(env!("CARGO_BIN_EXE_hasher"), settings);
        assert_eq!(Client::get(hasher.address("LISTEN"), "/").status, 200);
        let status = fs::read_to_string(format!("/proc/{}/status", hasher.id())).unwrap();
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
        threads.trim().parse::<u32>().unwrap()
    };
    // The blocking thread reads files and resolves names. One worker thread is the main thread.
    assert_eq!(threads(&[("THREADS", "1")]), 2);
    assert_eq!(threads(&[("THREADS", "7")]), 9);
}
