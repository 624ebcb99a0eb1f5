//! The page's side of the demo: Rust that the page's few lines of JS call.
//!
//! Two kinds of tasks. Tiles are pure Rust and go through shared memory (`render`). Everything with a JS value in it goes as a JS task:
//! the canvases, once, with a transfer list; then, a few times a second, "draw what you have rendered" to each worker; and the
//! button's "JS task now". The worker that gets one is busy with tiles: it finishes the one in hand, returns to its event loop,
//! runs the JS task, and goes back.

use std::cell::RefCell;
use std::sync::Arc;

use js_sys::{Array, Float64Array, Uint8Array, Uint8ClampedArray};
use wasm_bindgen::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ImageData, OffscreenCanvas, OffscreenCanvasRenderingContext2d};
use weblane_pool::{JsTask, ThreadPool};
use weblane_workers::{Options, ThreadId};

use crate::render::{Picture, TILE, TILES, checksum};
use crate::tracer::{HEIGHT, WIDTH};

/// What the page holds: the pool and the picture that is being rendered.
#[wasm_bindgen]
pub struct Demo {
    /// Until the demo is closed.
    pool: RefCell<Option<ThreadPool>>,
    threads: Vec<ThreadId>,
    picture: RefCell<Option<Arc<Picture>>>,
}

#[wasm_bindgen]
impl Demo {
    /// Starts the workers and makes the pool. `count` of 0: one worker for each processor.
    pub async fn open(count: usize) -> Result<Demo, JsError> {
        let options = Options::new().name("painter");
        let threads = weblane_workers::init(if count == 0 { options } else { options.count(count) })?;
        weblane_workers::ready().await?;
        let pool = ThreadPool::new(threads.clone())?;
        Ok(Demo { pool: RefCell::new(Some(pool)), threads, picture: RefCell::new(None) })
    }

    /// The number of workers.
    #[wasm_bindgen(getter)]
    pub fn workers(&self) -> usize {
        self.threads.len()
    }

    /// The picture's width in pixels.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        WIDTH
    }

    /// The picture's height in pixels.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        HEIGHT
    }

    /// A tile's side in pixels.
    #[wasm_bindgen(getter)]
    pub fn tile(&self) -> usize {
        TILE
    }

    /// Gives a worker its canvas, for good.
    #[wasm_bindgen(js_name = giveCanvas)]
    pub async fn give_canvas(&self, worker: usize, canvas: OffscreenCanvas) -> Result<(), JsValue> {
        let list = Array::of1(&canvas);
        let task = JsTask::new(|canvas: JsValue| {
            let canvas: OffscreenCanvas = canvas.unchecked_into();
            let context = canvas.get_context("2d")?.ok_or("this browser has no 2d context for an OffscreenCanvas")?;
            EASEL.set(Some(Easel { context: context.unchecked_into(), picture: None, drawn: [0; TILES] }));
            Ok(JsValue::UNDEFINED)
        });
        self.run_on(worker, task.payload(canvas.into()).transfer(list)).await.map(drop)
    }

    /// Starts a picture; the one before is abandoned.
    pub fn render(&self, seed: u32, samples: u32, sun_degrees: f32) -> Result<(), JsError> {
        let here = || weblane_workers::current().map_or(0, ThreadId::index);
        let picture = Picture::start(&self.pool()?, seed, samples, sun_degrees, here);
        if let Some(before) = self.picture.replace(Some(picture)) {
            before.abandon();
        }
        Ok(())
    }

    /// How much of the picture is done, 0 to 1.
    #[wasm_bindgen(getter)]
    pub fn progress(&self) -> f32 {
        self.with_picture(Picture::progress).unwrap_or(0.0)
    }

    /// Whether the picture is finished.
    #[wasm_bindgen(getter)]
    pub fn finished(&self) -> bool {
        self.with_picture(Picture::is_finished).unwrap_or(false)
    }

    /// Rust tasks that have run for this picture.
    #[wasm_bindgen(getter)]
    pub fn tasks(&self) -> u32 {
        self.with_picture(Picture::tasks).unwrap_or(0)
    }

    /// Lets a worker draw on its canvas what it has rendered since the last time.
    pub async fn present(&self, worker: usize) -> Result<(), JsValue> {
        let Some(picture) = self.picture.borrow().clone() else { return Ok(()) };
        let task = JsTask::new(move |_| {
            EASEL.with_borrow_mut(|easel| match easel {
                Some(easel) => easel.draw(&picture),
                None => Err("this worker has no canvas".into()),
            })?;
            Ok(JsValue::UNDEFINED)
        });
        self.run_on(worker, task).await.map(drop)
    }

    /// Sends a JS task with a payload to some worker, and returns its reply: `{ worker, payload }`.
    pub async fn ping(&self, payload: JsValue) -> Result<JsValue, JsValue> {
        let task = JsTask::new(|payload: JsValue| {
            let reply = js_sys::Object::new();
            js_sys::Reflect::set(&reply, &"payload".into(), &payload)?;
            let here = weblane_workers::current().map_or(0, ThreadId::index);
            js_sys::Reflect::set(&reply, &"worker".into(), &here.into())?;
            Ok(JsValue::from(reply))
        });
        let handle = self.pool()?.spawn_js(task.payload(payload)).map_err(JsError::from)?;
        Ok(handle.await.map_err(JsError::from)?)
    }

    /// Ends the pool: its workers go back to their event loops, with their canvases. The picture stays.
    pub fn close(&self) {
        self.pool.take();
    }

    /// For each worker: Rust tasks run, times stolen, times slept, JS tasks run.
    pub fn stats(&self) -> Float64Array {
        let stats = self.pool().map(|pool| pool.stats()).unwrap_or_default();
        let flat: Vec<f64> = stats.iter().flat_map(|s| [s.run, s.stolen, s.slept, s.js].map(|n| n as f64)).collect();
        Float64Array::from(flat.as_slice())
    }

    /// For each tile the number of the worker that rendered it last, 0 for nobody.
    pub fn painters(&self) -> Uint8Array {
        let of = |picture: &Picture| (0..TILES).map(|tile| picture.tile(tile).0 as u8).collect::<Vec<_>>();
        Uint8Array::from(self.with_picture(of).unwrap_or_default().as_slice())
    }

    /// The picture's bytes as they are in shared memory: red, green, blue, alpha.
    pub fn pixels(&self) -> Uint8ClampedArray {
        let bytes = self.with_picture(Picture::rgba).unwrap_or_default();
        // A copy outside shared memory, which is all that canvases take.
        let copy = Uint8ClampedArray::new_with_length(bytes.len() as u32);
        copy.copy_from(&bytes);
        copy
    }

    /// The checksum of these bytes.
    pub fn checksum(&self) -> String {
        checksum(&self.with_picture(Picture::rgba).unwrap_or_default())
    }
}

impl Demo {
    fn pool(&self) -> Result<ThreadPool, JsError> {
        self.pool.borrow().clone().ok_or_else(|| JsError::new("the demo is closed"))
    }

    fn with_picture<T>(&self, read: impl FnOnce(&Picture) -> T) -> Option<T> {
        self.picture.borrow().as_ref().map(|picture| read(picture))
    }

    async fn run_on(&self, worker: usize, task: JsTask) -> Result<JsValue, JsValue> {
        let handle = self.pool()?.spawn_js_on(self.threads[worker], task).map_err(JsError::from)?;
        Ok(handle.await.map_err(JsError::from)?)
    }
}

thread_local! {
    /// A worker's canvas.
    static EASEL: RefCell<Option<Easel>> = const { RefCell::new(None) };
}

struct Easel {
    context: OffscreenCanvasRenderingContext2d,
    picture: Option<Arc<Picture>>,
    /// The version of each tile that is on this canvas, 0 for none.
    drawn: [u32; TILES],
}

impl Easel {
    /// Draws the tiles of this worker that have changed, and clears those that another one has taken over.
    fn draw(&mut self, picture: &Arc<Picture>) -> Result<(), JsValue> {
        if !self.picture.as_ref().is_some_and(|known| Arc::ptr_eq(known, picture)) {
            self.picture = Some(Arc::clone(picture));
            // The old picture stays until new tiles cover it, or another worker's do.
        }
        let me = weblane_workers::current().map_or(0, ThreadId::index);
        let side = TILE as f64;
        let mut bytes = Vec::with_capacity(TILE * TILE * 4);
        for tile in 0..TILES {
            let (painter, version) = picture.tile(tile);
            let (left, top) = Picture::corner(tile);
            if painter == me && version != self.drawn[tile] {
                picture.copy_tile(tile, &mut bytes);
                // Canvases refuse views of shared memory.
                let copy = Uint8ClampedArray::new_with_length(bytes.len() as u32);
                copy.copy_from(&bytes);
                let image = ImageData::new_with_js_u8_clamped_array(&copy, TILE as u32)?;
                self.context.put_image_data(&image, left as f64, top as f64)?;
                self.drawn[tile] = version;
            } else if painter != me && painter != 0 && self.drawn[tile] != 0 {
                self.context.clear_rect(left as f64, top as f64, side, side);
                self.drawn[tile] = 0;
            }
        }
        Ok(())
    }
}
