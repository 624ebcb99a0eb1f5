//! The path tracer: one pixel, one sample at a time, from nothing but numbers.
//!
//! Deterministic on every machine: only operations that IEEE 754 defines exactly (`+ - * /`, square root, rounding) and `libm` for the
//! rest; no platform `sin`, no fused multiply-add, a random generator of its own for each sample.

mod random;
mod scene;
mod vector;

pub use scene::Scene;

use random::Random;
use scene::{Hit, Material};
use vector::{Vector, v};

/// The picture's size in pixels.
pub const WIDTH: usize = 768;
/// The picture's size in pixels.
pub const HEIGHT: usize = 480;

/// Light bounces this often at most.
const BOUNCES: u32 = 8;

/// The light that one sample of one pixel sees: red, green and blue, not yet fit for a screen.
#[must_use]
pub fn sample(scene: &Scene, x: usize, y: usize, sample: u32) -> [f32; 3] {
    let mut random = Random::new(scene.seed, (y * WIDTH + x) as u32, sample);
    let across = (x as f32 + random.unit() - WIDTH as f32 / 2.0) / HEIGHT as f32;
    let up = (HEIGHT as f32 / 2.0 - y as f32 - random.unit()) / HEIGHT as f32;
    let (mut origin, mut direction) = scene.camera_ray(across, up, &mut random);
    let (mut light, mut weight) = (v(0.0, 0.0, 0.0), v(1.0, 1.0, 1.0));
    // Whether a ray may see the sun itself: after a matte surface its light has been added already, and finding the sun again by
    // way of glass or metal would be rare and bright: white specks.
    let mut sees_sun = true;
    for bounce in 0..BOUNCES {
        let Some(hit) = scene.hit(origin, direction) else {
            light = light + weight * scene.sky(direction, sees_sun);
            break;
        };
        let Some((next, tint, matte)) = scatter(&hit, direction, &mut random) else {
            light = light + weight * hit.color;
            break;
        };
        if matte {
            light = light + weight * tint * scene.sun_at(&hit, &mut random);
        }
        weight = weight * tint;
        sees_sun = sees_sun && !matte;
        // Paths that carry little light are ended at random, and the others carry theirs (Russian roulette).
        let strongest = weight.x.max(weight.y).max(weight.z);
        if bounce > 2 {
            if random.unit() >= strongest {
                break;
            }
            weight = weight * (1.0 / strongest);
        }
        origin = hit.point + hit.normal * if next.dot(hit.normal) > 0.0 { 1e-3 } else { -1e-3 };
        direction = next;
    }
    [light.x, light.y, light.z]
}

/// Where light goes on from a hit: its direction, its tint, and whether the surface is matte. `None`: the surface shines itself.
fn scatter(hit: &Hit, direction: Vector, random: &mut Random) -> Option<(Vector, Vector, bool)> {
    let mirrored = direction - hit.normal * (2.0 * direction.dot(hit.normal));
    let white = v(1.0, 1.0, 1.0);
    match hit.material {
        Material::Light => None,
        Material::Metal { roughness } => {
            let next = (mirrored + random.on_sphere() * roughness).unit();
            // A rough bounce into the surface is absorbed.
            Some((next, if next.dot(hit.normal) > 0.0 { hit.color } else { v(0.0, 0.0, 0.0) }, false))
        }
        Material::Glass => {
            let cosine = -direction.dot(hit.normal);
            let ratio = if hit.inside { 1.5 } else { 1.0 / 1.5 };
            let across = (direction + hit.normal * cosine) * ratio;
            let rest = 1.0 - across.dot(across);
            if rest <= 0.0 || random.unit() < reflectance(if hit.inside { rest.sqrt() } else { cosine }) {
                return Some((mirrored, white, false));
            }
            Some(((across - hit.normal * rest.sqrt()).unit(), hit.color, false))
        }
        Material::Matte { coated } => {
            if coated && random.unit() < reflectance(-direction.dot(hit.normal)) {
                return Some((mirrored, white, false));
            }
            Some(((hit.normal + random.on_sphere()).unit(), hit.color, true))
        }
    }
}

/// The part of light that glass mirrors at this angle, after Schlick.
fn reflectance(cosine: f32) -> f32 {
    let c = (1.0 - cosine).clamp(0.0, 1.0);
    0.04 + 0.96 * (c * c * c * c * c)
}

/// A screen's red, green, blue and alpha for a sum of `samples` samples.
#[must_use]
pub fn develop(sum: [f32; 3], samples: u32) -> [u8; 4] {
    let channel = |sum: f32| {
        let light = (sum / samples as f32).max(0.0) * 0.52;
        // A filmic curve (Narkowicz 2015), and the screen's gamma.
        let film = (light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)).min(1.0);
        (libm::powf(film, 1.0 / 2.2) * 255.0 + 0.5) as u8
    };
    [channel(sum[0]), channel(sum[1]), channel(sum[2]), 255]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_depends_on_its_numbers_only() {
        let (a, b) = (Scene::new(7, 35.0), Scene::new(7, 35.0));
        for (x, y) in [(0, 0), (WIDTH / 2, HEIGHT / 2), (WIDTH - 1, HEIGHT - 1)] {
            assert_eq!(sample(&a, x, y, 3).map(f32::to_bits), sample(&b, x, y, 3).map(f32::to_bits));
        }
        let other = Scene::new(8, 35.0);
        let row =
            |scene: &Scene| (0..WIDTH).map(|x| sample(scene, x, HEIGHT / 2, 0).map(f32::to_bits)).collect::<Vec<_>>();
        assert_ne!(row(&a), row(&other));
    }

    #[test]
    fn light_is_finite_and_not_negative() {
        let scene = Scene::new(3, 35.0);
        for y in (0..HEIGHT).step_by(7) {
            for x in (0..WIDTH).step_by(5) {
                let light = sample(&scene, x, y, 1);
                assert!(light.iter().all(|part| part.is_finite() && *part >= 0.0), "{light:?} at {x}, {y}");
            }
        }
    }

    #[test]
    fn development_keeps_black_and_never_overflows() {
        assert_eq!(develop([0.0; 3], 1), [0, 0, 0, 255]);
        assert_eq!(develop([1e9; 3], 1), [255; 4]);
    }
}
