//! Writes down what code of `ledger` this engine was made beside: `engines.py` compares before the engine decides anything.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The folders whose code says what is decided and how it is written; `ledger/journal/engines.py` has the same.
const FOLDERS: [&str; 3] = ["core", "rulebook", "wire"];

fn main() {
    let ledger = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger");
    let mut files = Vec::new();
    for folder in FOLDERS {
        println!("cargo:rerun-if-changed=../ledger/{folder}");
        collect(&ledger.join(folder), &mut files);
    }
    let mut named: Vec<(String, PathBuf)> = files.into_iter().map(|file| (name_in(&ledger, &file), file)).collect();
    named.sort();
    let mut all = Sha256::new();
    for (name, file) in named {
        let text = fs::read(&file).expect("the file was just listed");
        all.update(format!("{name} {}\n", text.len()));
        all.update(text);
    }
    let hex: String = all.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=POINTS_CODE={hex}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the crate is built in a clone, beside ledger/") {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "py") {
            files.push(path);
        }
    }
}

fn name_in(ledger: &Path, file: &Path) -> String {
    let name = file.strip_prefix(ledger).expect("it was found there");
    name.to_str().expect("our names are ASCII").replace('\\', "/")
}
