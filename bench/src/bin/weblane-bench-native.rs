//! The benchmark on this machine: prints lines of JSON. Its argument is one group, or none for all.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    let clock = || START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3;
    let pool = weblane_pool::ThreadPool::with_threads;
    let pools = weblane_bench::Pools { four: pool(4)?, two: pool(2)?, one: pool(1)?, peer: pool(2)? };
    let inner = pools.clone();
    let only = std::env::args().nth(1);
    if let Some((effort, part)) = only.as_deref().and_then(weblane_bench::pool::group) {
        let samples = pools.four.spawn(move || weblane_bench::pool::samples(&inner, clock, effort, part)).join()?;
        samples.iter().for_each(|sample| println!("{}", sample.json("native")));
        return Ok(());
    }
    let rows = pools.four.spawn(move || weblane_bench::run(&inner, clock, only.as_deref())).join()?;
    println!("{}", weblane_bench::json("native", &rows));
    Ok(())
}

#[cfg(target_arch = "wasm32")]
fn main() {}
