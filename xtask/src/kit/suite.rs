//! Counting tests: every suite has a number that it must not fall below, so that a suite that silently runs nothing fails.

use std::process::Command;
use std::time::Instant;

use super::process::tee;
use super::{Result, fail, root, say};

/// The tests of a run, so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    suites: Vec<String>,
    /// What failed, once more at the end: a log that is cut in the middle still says it.
    failures: Vec<String>,
}

/// The numbers that suites must not fall below, by suite: committed in `xtask/floors.json`.
fn floor(suite: &str) -> Result<u64> {
    let file = root().join("xtask/floors.json");
    let floors: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    floors[suite].as_u64().ok_or_else(|| fail(format!("{} has no number for the suite {suite:?}", file.display())))
}

/// `(passed, failed)` by the lines "test result: ok. 3 passed; 0 failed; ..." that all test harnesses print.
fn count(output: &str) -> (u64, u64) {
    let mut total = (0, 0);
    for line in output.lines().filter(|line| line.starts_with("test result:")) {
        let number = |what: &str| {
            let words: Vec<&str> = line.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
            words.windows(2).find(|pair| pair[1] == what).and_then(|pair| pair[0].parse::<u64>().ok()).unwrap_or(0)
        };
        total.0 += number("passed");
        total.1 += number("failed");
    }
    total
}

/// The names of failed tests, by the lines "test name ... FAILED" (or FAIL, in the browser).
fn failed_tests(output: &str) -> impl Iterator<Item = &str> {
    output.lines().filter_map(|line| {
        let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
        verdict.starts_with("FAIL").then_some(name)
    })
}

/// The end of what was printed.
fn last_lines(output: &str, count: usize) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n    ")
}

impl Tally {
    /// Runs the commands of a suite one after the other, and counts.
    pub(crate) fn suite(&mut self, name: &str, commands: impl IntoIterator<Item = Command>) -> Result<()> {
        let floor = floor(name)?;
        self.commands(name, commands, floor)
    }

    /// As `suite`, for a part of one that somebody has chosen: one test is enough.
    pub(crate) fn suite_without_floor(
        &mut self,
        name: &str,
        commands: impl IntoIterator<Item = Command>,
    ) -> Result<()> {
        self.commands(name, commands, 1)
    }

    fn commands(&mut self, name: &str, commands: impl IntoIterator<Item = Command>, floor: u64) -> Result<()> {
        say(format!("suite {name}"));
        let start = Instant::now();
        let (mut passed, mut failed) = (0, 0);
        for mut command in commands {
            let (output, success) = tee(&mut command)?;
            let (more, less) = count(&output);
            passed += more;
            self.failures.extend(failed_tests(&output).map(|test| format!("{name}: {test}")));
            // A harness that breaks off has failed, whatever it had printed by then.
            let broke_off = !success && less == 0;
            if broke_off {
                self.failures.push(format!("{name}: {command:?} broke off:\n    {}", last_lines(&output, 20)));
            }
            failed += if broke_off { 1 } else { less };
        }
        self.add(name, passed, failed, floor, start);
        Ok(())
    }

    /// One step that is a test as a whole.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<()>) {
        say(format!("suite {name}"));
        let start = Instant::now();
        match run() {
            Ok(()) => self.add(name, 1, 0, 1, start),
            Err(error) => {
                eprintln!("{name}: {error}");
                self.failures.push(format!("{name}: {error}"));
                self.add(name, 0, 1, 1, start);
            }
        }
    }

    fn add(&mut self, name: &str, passed: u64, mut failed: u64, floor: u64, start: Instant) {
        let mut note = String::new();
        if passed + failed < floor {
            failed += 1;
            note = format!(", FEWER THAN THE {floor} of xtask/floors.json");
        }
        let line = format!("{name}: {passed} passed, {failed} failed in {} s{note}", start.elapsed().as_secs());
        say(&line);
        self.suites.push(line);
        self.passed += passed;
        self.failed += failed;
    }

    /// The last line, and the verdict.
    pub(crate) fn finish(self) -> Result<()> {
        println!();
        self.suites.iter().for_each(|line| println!("{line}"));
        self.failures.iter().for_each(|failure| println!("FAILED {failure}"));
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 { Ok(()) } else { Err(fail("there are failures: see above")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{count, failed_tests, last_lines};

    #[test]
    fn harness_lines_are_summed() {
        let text = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 0 ignored\nnoise\n\
                    test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured";
        assert_eq!(count(text), (5, 1));
        assert_eq!(count("no harness ran"), (0, 0));
    }

    #[test]
    fn failures_are_named() {
        let text =
            "test one ... ok\ntest two ... FAILED\n  test three ... FAILED\ntest four ... FAIL\ntest result: FAILED.";
        assert_eq!(failed_tests(text).collect::<Vec<_>>(), ["two", "four"]);
        assert_eq!(last_lines("a\nb\nc", 2), "b\n    c");
        assert_eq!(last_lines("a", 2), "a");
    }
}
