//! What earlier runs found, in `target/mutants/results.json`.
//!
//! A verdict holds as long as what it came from is the same: the mutant; the code of its crate and of our crates that it depends on, comments aside; and
//! of the tests, those of the one binary that noticed it. One that survived has been through all tests, so it is tried again when any
//! test changes. Where the code has changed, the test that noticed the mutant last time is tried first.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::trial::{Place, Usual, Verdict};
use super::{CRATES, Mutant, rules};
use crate::kit::{self, fail, root};

/// Hashes of a crate's sources.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) package: &'static str,
    /// All that is not under `tests`, with our crates that this one depends on.
    code: u64,
    /// What lies in folders under `tests`, for all of them.
    shared: u64,
    /// The files in `tests`, by the names of their binaries.
    pub(super) tests: BTreeMap<String, u64>,
}

impl Sources {
    pub(super) fn of(package: &'static str) -> kit::Result<Sources> {
        let folder = |package: &str| root().join("crates").join(package);
        let mut code = DefaultHasher::new();
        hash_file(&root().join("Cargo.lock"), &mut code)?;
        let mut seen = vec![package];
        let mut at = 0;
        while let Some(package) = seen.get(at).copied() {
            let manifest = folder(package).join("Cargo.toml");
            hash_file(&manifest, &mut code)?;
            hash_folder(&folder(package).join("src"), &mut code)?;
            let manifest = fs::read_to_string(manifest)?;
            for other in CRATES {
                if !seen.contains(&other) && manifest.contains(&format!("weblane-{other} ")) {
                    seen.push(other);
                }
            }
            at += 1;
        }
        let (mut shared, mut tests) = (DefaultHasher::new(), BTreeMap::new());
        for path in rules::entries(&folder(package).join("tests"))? {
            if path.is_dir() {
                hash_folder(&path, &mut shared)?;
            } else if let Some(name) = path.file_stem() {
                let mut hasher = DefaultHasher::new();
                hash_file(&path, &mut hasher)?;
                tests.insert(name.to_string_lossy().into_owned(), hasher.finish());
            }
        }
        Ok(Sources { package, code: code.finish(), shared: shared.finish(), tests })
    }

    /// Of the code and of the tests in one binary.
    fn with(&self, target: &str) -> u64 {
        hash((self.code, self.shared, self.tests.get(target)))
    }

    /// Of the code and of all tests.
    fn with_all(&self) -> u64 {
        hash((self.code, self.shared, &self.tests))
    }
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Lines that say something to the compiler.
fn hash_file(path: &Path, hasher: &mut DefaultHasher) -> kit::Result<()> {
    path.file_name().hash(hasher);
    let text = fs::read_to_string(path)?;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        line.hash(hasher);
    }
    Ok(())
}

fn hash_folder(folder: &Path, hasher: &mut DefaultHasher) -> kit::Result<()> {
    for path in rules::entries(folder)? {
        if path.is_dir() { hash_folder(&path, hasher)? } else { hash_file(&path, hasher)? }
    }
    Ok(())
}

pub(super) struct Memory {
    file: PathBuf,
    entries: Mutex<Map<String, Value>>,
}

impl Memory {
    /// What is remembered; with `fresh`, nothing but which tests to try first.
    pub(super) fn open(file: PathBuf, fresh: bool) -> kit::Result<Memory> {
        let mut entries = read(&file)?;
        if fresh {
            entries.values_mut().for_each(|entry| entry["of"] = Value::Null);
        }
        Ok(Memory { file, entries: Mutex::new(entries) })
    }

    fn get(&self, key: &str) -> Option<Value> {
        self.entries.lock().ok()?.get(key).cloned()
    }

    fn set(&self, key: String, entry: Value) -> kit::Result<()> {
        let mut entries = self.entries.lock().map_err(|_| fail("another hand broke off"))?;
        entries.insert(key.clone(), entry.clone());
        // Another run of this command may have something to remember as well.
        let lock = File::create(self.file.with_extension("lock"))?;
        lock.lock()?;
        let mut all = read(&self.file)?;
        all.insert(key, entry);
        // Never half a file: this may be stopped at any time.
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_string_pretty(&all)?)?;
        Ok(fs::rename(new, &self.file)?)
    }

    /// What became of a mutant, if nothing has changed since that counts.
    pub(super) fn verdict(&self, mutant: &Mutant, sources: &Sources) -> Option<Verdict> {
        let entry = self.get(&mutant.key)?;
        let verdict = match (entry["verdict"].as_str()?, place(&entry)) {
            ("noticed", Some(place)) => Verdict::Noticed(place),
            ("did not end", Some(place)) => Verdict::DidNotEnd(place),
            ("does not compile", _) => Verdict::DoesNotCompile,
            _ => Verdict::Survived,
        };
        (entry["of"] == of(mutant, sources, &verdict)).then_some(verdict)
    }

    pub(super) fn keep(&self, mutant: &Mutant, sources: &Sources, verdict: &Verdict) -> kit::Result<()> {
        let (said, place) = match verdict {
            Verdict::Noticed(place) => ("noticed", Some(place)),
            Verdict::DidNotEnd(place) => ("did not end", Some(place)),
            Verdict::DoesNotCompile => ("does not compile", None),
            Verdict::Survived => ("survived", None),
        };
        let mut entry = json!({ "verdict": said, "of": of(mutant, sources, verdict) });
        entry["file"] = json!(mutant.file);
        if let Some(Place { suite, target, test }) = place {
            entry["suite"] = json!(suite);
            entry["target"] = json!(target);
            entry["test"] = json!(test);
        }
        self.set(mutant.key.clone(), entry)
    }

    /// Who noticed it the last time, whatever has changed since.
    pub(super) fn noticed_by(&self, mutant: &Mutant) -> Option<Place> {
        place(&self.get(&mutant.key)?)
    }

    /// How many mutants of the same file this binary has noticed.
    pub(super) fn luck(&self, mutant: &Mutant, suite: &str, target: &str) -> usize {
        let same = |(key, entry): &(&String, &Value)| {
            let by = place(entry).is_some_and(|place| place.suite == suite && place.target == target);
            by && entry["file"] == json!(mutant.file) && key.starts_with(&format!("{}: ", mutant.package))
        };
        self.entries.lock().map_or(0, |entries| entries.iter().filter(same).count())
    }

    /// The test binaries of a crate, if no test has changed.
    pub(super) fn usual(&self, sources: &Sources) -> Option<Vec<Usual>> {
        let entry = self.get(&format!("{} as it is", sources.package))?;
        if entry["of"] != json!(sources.with_all().to_string()) {
            return None;
        }
        let usual = |entry: &Value| {
            let text = |key: &str| entry[key].as_str().map(str::to_owned);
            Some(Usual { suite: text("suite")?, target: text("target")?, seconds: entry["seconds"].as_f64()? })
        };
        entry["binaries"].as_array()?.iter().map(usual).collect()
    }

    pub(super) fn keep_usual(&self, sources: &Sources, usual: &[Usual]) -> kit::Result<()> {
        let binary = |usual: &Usual| json!({ "suite": usual.suite, "target": usual.target, "seconds": usual.seconds });
        let binaries: Vec<Value> = usual.iter().map(binary).collect();
        let entry = json!({ "of": sources.with_all().to_string(), "binaries": binaries });
        self.set(format!("{} as it is", sources.package), entry)
    }
}

fn read(file: &Path) -> kit::Result<Map<String, Value>> {
    let text = if file.exists() { fs::read_to_string(file)? } else { String::new() };
    Ok(match serde_json::from_str(&text) {
        Ok(Value::Object(entries)) => entries,
        _ => Map::new(),
    })
}

/// What a verdict came from.
fn of(mutant: &Mutant, sources: &Sources, verdict: &Verdict) -> Value {
    let sources = match verdict {
        Verdict::Noticed(place) => sources.with(&place.target),
        Verdict::DidNotEnd(_) | Verdict::Survived => sources.with_all(),
        Verdict::DoesNotCompile => sources.code,
    };
    // As a string: a number would be rounded.
    json!(hash((sources, &mutant.find, &mutant.replace)).to_string())
}

fn place(entry: &Value) -> Option<Place> {
    let text = |key: &str| entry[key].as_str().map(str::to_owned);
    Some(Place { suite: text("suite")?, target: text("target")?, test: text("test")? })
}
