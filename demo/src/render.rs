//! The picture as tasks of a pool.
//!
//! The picture is cut into tiles, and a tile's samples into passes of 1, 1, 2, 4, 4 and so on: so the whole picture is there at once,
//! coarse, and gets finer; and a pass stays short, so that a JS task does not wait long for it. A pass is one pure-Rust task. It carries the tile's sums with it, adds its samples, develops the tile into shared
//! memory, and spawns the tile's next pass. Nothing waits for anything, and no message is sent.
//!
//! Steps of a tile, and who sees what: the pass writes the pixels (Relaxed), then names itself the tile's painter and raises the tile's
//! version (Release). Whoever reads a version (Acquire) sees at least the pixels of that pass; a later pass may overwrite them
//! meanwhile, and raises the version again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use weblane_pool::ThreadPool;

use crate::tracer::{HEIGHT, Scene, WIDTH, develop, sample};

/// A tile's side in pixels.
pub const TILE: usize = 48;
const ACROSS: usize = WIDTH / TILE;
/// The number of tiles.
pub const TILES: usize = ACROSS * (HEIGHT / TILE);

/// A picture that is being rendered, shared by everybody.
pub struct Picture {
    scene: Scene,
    samples: u32,
    /// Red, green, blue and alpha, in memory order.
    pixels: Vec<AtomicU32>,
    tiles: Vec<Tile>,
    /// Tiles that are not finished.
    left: AtomicU32,
    /// Tasks that have run.
    tasks: AtomicU32,
    /// Set when nobody wants the picture any more.
    abandoned: AtomicU32,
}

struct Tile {
    /// The thread that rendered the latest pass.
    painter: AtomicU32,
    /// The number of passes so far.
    version: AtomicU32,
}

impl Picture {
    /// Starts to render. `here` tells which thread a task runs on, by a number that is not 0.
    #[must_use]
    pub fn start(pool: &ThreadPool, seed: u32, samples: u32, sun_degrees: f32, here: fn() -> u32) -> Arc<Picture> {
        let tile = || Tile { painter: AtomicU32::new(0), version: AtomicU32::new(0) };
        let picture = Arc::new(Picture {
            scene: Scene::new(seed, sun_degrees),
            samples: samples.max(1),
            pixels: (0..WIDTH * HEIGHT).map(|_| AtomicU32::new(0)).collect(),
            tiles: (0..TILES).map(|_| tile()).collect(),
            left: AtomicU32::new(TILES as u32),
            tasks: AtomicU32::new(0),
            abandoned: AtomicU32::new(0),
        });
        for index in 0..TILES {
            let pass = Pass { picture: Arc::clone(&picture), tile: index, sums: vec![[0.0; 3]; TILE * TILE], done: 0 };
            let inner = pool.clone();
            pool.spawn_detached(move || pass.run(&inner, here));
        }
        picture
    }

    /// Stops the rendering: passes that are queued do nothing.
    pub fn abandon(&self) {
        self.abandoned.store(1, Ordering::Relaxed);
    }

    /// Whether every tile has all its samples.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // Acquire: pairs with the Release in `Pass::run`; who sees 0 sees all pixels.
        self.left.load(Ordering::Acquire) == 0
    }

    /// How much is done, 0 to 1, in samples.
    #[must_use]
    pub fn progress(&self) -> f32 {
        let passes = |tile: &Tile| samples_after(tile.version.load(Ordering::Relaxed)).min(self.samples) as f32;
        self.tiles.iter().map(passes).sum::<f32>() / (TILES as f32 * self.samples as f32)
    }

    /// Tasks that have run for this picture.
    #[must_use]
    pub fn tasks(&self) -> u32 {
        self.tasks.load(Ordering::Relaxed)
    }

    /// A tile's painter and version.
    #[must_use]
    pub fn tile(&self, tile: usize) -> (u32, u32) {
        // Acquire: pairs with the Release in `Pass::run`.
        let version = self.tiles[tile].version.load(Ordering::Acquire);
        (self.tiles[tile].painter.load(Ordering::Relaxed), version)
    }

    /// A tile's left and top edge.
    #[must_use]
    pub fn corner(tile: usize) -> (usize, usize) {
        (tile % ACROSS * TILE, tile / ACROSS * TILE)
    }

    /// Copies a tile's red, green, blue and alpha, row by row.
    pub fn copy_tile(&self, tile: usize, into: &mut Vec<u8>) {
        let (left, top) = Picture::corner(tile);
        into.clear();
        for y in top..top + TILE {
            let row = &self.pixels[y * WIDTH + left..][..TILE];
            into.extend(row.iter().flat_map(|pixel| pixel.load(Ordering::Relaxed).to_le_bytes()));
        }
    }

    /// The whole picture: red, green, blue and alpha, row by row.
    #[must_use]
    pub fn rgba(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|pixel| pixel.load(Ordering::Relaxed).to_le_bytes()).collect()
    }
}

/// The samples of a tile after so many passes: 1, 2, 4, 8, 12, 16 and so on.
fn samples_after(passes: u32) -> u32 {
    match passes {
        0..=2 => passes,
        _ => 4 * (passes - 2),
    }
}

/// One pass over one tile, waiting to be run.
struct Pass {
    picture: Arc<Picture>,
    tile: usize,
    sums: Vec<[f32; 3]>,
    /// Passes that are in the sums.
    done: u32,
}

impl Pass {
    fn run(mut self, pool: &ThreadPool, here: fn() -> u32) {
        let picture = Arc::clone(&self.picture);
        if picture.abandoned.load(Ordering::Relaxed) != 0 {
            return;
        }
        let from = samples_after(self.done).min(picture.samples);
        let until = samples_after(self.done + 1).min(picture.samples);
        let (left, top) = Picture::corner(self.tile);
        for (index, sum) in self.sums.iter_mut().enumerate() {
            let (x, y) = (left + index % TILE, top + index / TILE);
            for number in from..until {
                let light = sample(&picture.scene, x, y, number);
                (0..3).for_each(|channel| sum[channel] += light[channel]);
            }
            let pixel = u32::from_le_bytes(develop(*sum, until));
            picture.pixels[y * WIDTH + x].store(pixel, Ordering::Relaxed);
        }
        self.done += 1;
        picture.tasks.fetch_add(1, Ordering::Relaxed);
        let tile = &picture.tiles[self.tile];
        tile.painter.store(here(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `Picture::tile`.
        tile.version.fetch_add(1, Ordering::Release);
        if until < picture.samples {
            let inner = pool.clone();
            pool.spawn_detached(move || self.run(&inner, here));
        } else {
            // Release: pairs with the Acquire in `is_finished`.
            picture.left.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// FNV-1a of the bytes, 64 bits, in hexadecimal.
#[must_use]
pub fn checksum(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Samples for each pixel of the comparison between browser and native.
pub const SAMPLES: u32 = 32;
/// The sun's height of that comparison, in degrees.
pub const SUN: f32 = 34.0;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    fn render(threads: usize, seed: u32) -> String {
        let pool = ThreadPool::with_threads(threads).expect("threads");
        let picture = Picture::start(&pool, seed, 2, SUN, || 1);
        while !picture.is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(picture.tasks(), 2 * TILES as u32);
        assert!((picture.progress() - 1.0).abs() < 1e-6);
        checksum(&picture.rgba())
    }

    #[test]
    fn the_picture_does_not_depend_on_the_number_of_threads() {
        let one = render(1, 7);
        assert_eq!(one, render(4, 7));
        assert_ne!(one, render(2, 8), "but on the seed");
    }

    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(checksum(b""), "cbf29ce484222325");
        assert_eq!(checksum(b"a"), "af63dc4c8601ec8c");
    }
}
