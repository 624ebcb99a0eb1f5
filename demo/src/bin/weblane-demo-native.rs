//! Renders the demo's scene natively and prints one line of JSON: `weblane-demo-native --seed N [--samples N]`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u32| match arguments.iter().position(|argument| argument == name) {
        None => Some(default),
        Some(index) => arguments.get(index + 1).and_then(|value| value.parse().ok()),
    };
    let (Some(seed), Some(samples)) = (number("--seed", 7), number("--samples", weblane_demo::render::SAMPLES)) else {
        eprintln!("usage: weblane-demo-native --seed N [--samples N]");
        return ExitCode::from(2);
    };
    render(seed, samples)
}

#[cfg(not(target_arch = "wasm32"))]
fn render(seed: u32, samples: u32) -> ExitCode {
    use weblane_demo::render::{Picture, SUN, checksum};

    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(32));
    let pool = match weblane_pool::ThreadPool::with_threads(threads) {
        Ok(pool) => pool,
        Err(error) => {
            eprintln!("no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let start = std::time::Instant::now();
    let picture = Picture::start(&pool, seed, samples, SUN, || 1);
    while !picture.is_finished() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let (milliseconds, checksum) = (start.elapsed().as_millis(), checksum(&picture.rgba()));
    println!(
        "{{\"seed\":{seed},\"samples\":{samples},\"threads\":{threads},\"checksum\":\"{checksum}\",\"milliseconds\":{milliseconds}}}"
    );
    ExitCode::SUCCESS
}

#[cfg(target_arch = "wasm32")]
fn render(_: u32, _: u32) -> ExitCode {
    ExitCode::FAILURE
}
