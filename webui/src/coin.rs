//! The page of a coin, with a command that checks it.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use store::Store;
use tokio::sync::Semaphore;

use crate::poller::{StoreError, call};

/// The number of coins that are read from the store at once.
const MAX_READS: usize = 16;

/// Reads coins from the store; clones share the limit.
#[derive(Clone)]
pub(crate) struct Coins {
    store: Store,
    reads: Arc<Semaphore>,
}

impl Coins {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, reads: Arc::new(Semaphore::new(MAX_READS)) }
    }

    /// The bytes of the coin with this hash, if it is in the wallet.
    pub(crate) async fn read(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        call(async {
            let _permit = self.reads.acquire().await?;
            self.store.coin(hash).await
        })
        .await
    }
}

/// Whether the text is 64 lowercase hex digits.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Describes a coin: its key, its bytes, their hash, and a shell command that computes it.
pub(crate) fn describe(key: &str, bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // POSIX requires octal escapes of printf, but not hexadecimal ones.
    let octal: String = bytes.iter().map(|byte| format!(r"\{byte:03o}")).collect();
    let sum = hex(&Sha256::digest(bytes));
    let verdict = match sum == key {
        true => "yes, the key is the hash of the bytes",
        false => "NO, the key is not the hash of the bytes",
    };
    format!(
        "key:    {key}\nbytes:  {}\nsha256: {sum}\nagree:  {verdict}\n\n\
         To check it yourself:\nprintf '{octal}' | sha256sum\n",
        hex(bytes)
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_page_of_a_coin_has_a_command_that_checks_it() {
        let bytes: [u8; 32] = std::array::from_fn(|i| (i * 8) as u8);
        let key = "b2de0c4b6f3fd4e9f21a5ee7ac3a8c5cbd1f0cb6c49fd0e1bf2b8a5a7a0bb2f1";
        let text = describe(key, &bytes);
        assert!(text.starts_with(&format!("key:    {key}\nbytes:  00081018")), "{text}");
        assert!(text.contains("agree:  NO"), "{text}");
        let sum = text.split_once("sha256: ").unwrap().1.split_once('\n').unwrap().0;
        assert!(is_hash(sum) && describe(sum, &bytes).contains("agree:  yes"), "{text}");
        let line = text.trim_end().lines().last().unwrap();
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(output.stdout.starts_with(sum.as_bytes()), "{output:?}");
    }

    #[test]
    fn a_hash_is_64_lowercase_hex_digits() {
        let hash = "0123456789abcdef".repeat(4);
        assert!(is_hash(&hash));
        for invalid in ["", "0", &hash[1..], &hash.to_uppercase(), &hash.replace('0', "g")] {
            assert!(!is_hash(invalid), "{invalid}");
        }
        assert!(!is_hash(&"é".repeat(32)));
    }
}
