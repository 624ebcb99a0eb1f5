//! What is in the picture: three large balls, many small ones strewn by the seed, a floor, a sky and a sun.

use super::random::Random;
use super::vector::{Vector, v};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Material {
    Matte { coated: bool },
    Metal { roughness: f32 },
    Glass,
    Light,
}

struct Ball {
    center: Vector,
    radius: f32,
    material: Material,
    color: Vector,
}

/// Where a ray meets a surface.
pub(crate) struct Hit {
    pub(crate) point: Vector,
    /// Of length 1, towards where the ray came from.
    pub(crate) normal: Vector,
    pub(crate) material: Material,
    pub(crate) color: Vector,
    /// Whether the ray came from inside the ball.
    pub(crate) inside: bool,
}

/// A scene: everything that a pixel's color depends on.
pub struct Scene {
    pub(crate) seed: u32,
    balls: Vec<Ball>,
    sun: Vector,
    sun_color: Vector,
    eye: Vector,
    right: Vector,
    up: Vector,
    forward: Vector,
}

/// The sun's disk: the cosine of its radius as seen from here. Larger than the real one, for soft shadows.
const SUN_COSINE: f32 = 0.9985;
/// The distance at which the picture is sharp, and the lens's radius.
const FOCUS: f32 = 7.4;
const LENS: f32 = 0.035;

impl Scene {
    /// The scene of a seed, with the sun this many degrees above the horizon.
    #[must_use]
    pub fn new(seed: u32, sun_degrees: f32) -> Scene {
        let (eye, target) = (v(0.6, 1.75, 7.2), v(0.0, 0.72, 0.0));
        let forward = (target - eye).unit();
        let right = forward.cross(v(0.0, 1.0, 0.0)).unit();
        let height = sun_degrees.clamp(2.0, 85.0) * (core::f32::consts::PI / 180.0);
        let (along, up) = (libm::cosf(height), libm::sinf(height));
        // Low suns are red.
        let red = 1.0 - up;
        let sun_color = v(9.0, 8.2 - 3.2 * red, 7.0 - 5.2 * red);
        let sun = v(-0.62 * along, up, 0.55 * along).unit();
        Scene { seed, balls: strew(seed), sun, sun_color, eye, right, up: right.cross(forward), forward }
    }

    /// The ray through a point of the picture, which is 1 high; through a random point of the lens.
    pub(crate) fn camera_ray(&self, across: f32, up: f32, random: &mut Random) -> (Vector, Vector) {
        let sharp = self.eye + (self.forward + self.right * (across * 0.72) + self.up * (up * 0.72)) * FOCUS;
        let (lens_x, lens_y) = random.in_disk();
        let origin = self.eye + self.right * (lens_x * LENS) + self.up * (lens_y * LENS);
        (origin, (sharp - origin).unit())
    }

    /// The first surface on a ray.
    pub(crate) fn hit(&self, origin: Vector, direction: Vector) -> Option<Hit> {
        let (mut nearest, mut found) = (1e9, None);
        for ball in &self.balls {
            if let Some(distance) = ball.distance(origin, direction, nearest) {
                (nearest, found) = (distance, Some(ball));
            }
        }
        // The floor is y = 0.
        let floor = if direction.y < -1e-5 { -origin.y / direction.y } else { f32::INFINITY };
        if floor > 1e-4 && floor < nearest {
            let point = origin + direction * floor;
            let material = Material::Matte { coated: true };
            return Some(Hit { point, normal: v(0.0, 1.0, 0.0), material, color: floor_color(point), inside: false });
        }
        found.map(|ball| {
            let point = origin + direction * nearest;
            let outward = (point - ball.center) * (1.0 / ball.radius);
            let inside = outward.dot(direction) > 0.0;
            let normal = if inside { outward * -1.0 } else { outward };
            Hit { point, normal, material: ball.material, color: ball.color, inside }
        })
    }

    /// The light of the sky in this direction, and of the sun if it may be seen.
    pub(crate) fn sky(&self, direction: Vector, sees_sun: bool) -> Vector {
        let t = (direction.y * 2.2).clamp(0.0, 1.0).sqrt();
        let low = 1.0 - self.sun.y;
        let horizon = v(0.92, 0.82 - 0.22 * low, 0.70 - 0.34 * low);
        let zenith = v(0.10, 0.24, 0.60) * (1.0 - 0.45 * low);
        let glow = direction.dot(self.sun).max(0.0);
        let glow = glow * glow * glow * glow;
        let sky = horizon * (1.0 - t) + zenith * t + self.sun_color * (0.035 * glow * glow);
        if sees_sun && direction.dot(self.sun) > SUN_COSINE { sky + self.sun_color * 12.0 } else { sky }
    }

    /// The sun's light on a matte surface, through one random point of its disk.
    pub(crate) fn sun_at(&self, hit: &Hit, random: &mut Random) -> Vector {
        let towards = (self.sun + random.on_sphere() * 0.05).unit();
        let cosine = towards.dot(hit.normal);
        if cosine <= 0.0 || self.shaded(hit.point + hit.normal * 1e-3, towards) {
            return v(0.0, 0.0, 0.0);
        }
        self.sun_color * (cosine * 0.32)
    }

    fn shaded(&self, origin: Vector, direction: Vector) -> bool {
        // Glass lets some light through; that it bends it is left out.
        self.balls
            .iter()
            .any(|ball| ball.material != Material::Glass && ball.distance(origin, direction, 1e9).is_some())
    }
}

impl Ball {
    /// The distance to this ball along a ray, if it is less than `limit`.
    fn distance(&self, origin: Vector, direction: Vector, limit: f32) -> Option<f32> {
        let from = origin - self.center;
        let half = from.dot(direction);
        let rest = half * half - (from.dot(from) - self.radius * self.radius);
        if rest <= 0.0 {
            return None;
        }
        let root = rest.sqrt();
        [-half - root, -half + root].into_iter().find(|distance| *distance > 1e-4).filter(|distance| *distance < limit)
    }
}

/// Large tiles in two greys.
fn floor_color(point: Vector) -> Vector {
    let tile = |x: f32| (x * 0.9).floor() as i32;
    let odd = (tile(point.x) ^ tile(point.z)) & 1 != 0;
    if odd { v(0.62, 0.61, 0.59) } else { v(0.17, 0.18, 0.21) }
}

/// Three large balls in the middle, and small ones around them that do not touch.
fn strew(seed: u32) -> Vec<Ball> {
    let ball = |x, z, radius, material, color| Ball { center: v(x, radius, z), radius, material, color };
    let mut balls = vec![
        ball(0.0, 0.0, 1.0, Material::Glass, v(0.98, 0.99, 0.98)),
        ball(-2.15, -0.35, 1.0, Material::Matte { coated: true }, v(0.78, 0.16, 0.12)),
        ball(2.15, -0.2, 1.0, Material::Metal { roughness: 0.03 }, v(0.96, 0.74, 0.44)),
    ];
    let mut random = Random::new(seed, 0, 0);
    for _ in 0..400 {
        if balls.len() >= 40 {
            break;
        }
        let (x, z, radius) = (random.between(-4.6, 4.6), random.between(-3.2, 4.2), random.between(0.13, 0.34));
        let color = hue(random.unit());
        let material = match random.unit() {
            kind if kind < 0.52 => Material::Matte { coated: true },
            kind if kind < 0.74 => Material::Metal { roughness: random.between(0.0, 0.25) },
            kind if kind < 0.90 => Material::Glass,
            _ => Material::Light,
        };
        let color = match material {
            Material::Glass => v(0.8, 0.8, 0.8) + color * 0.2,
            Material::Light => color * 3.4,
            Material::Metal { .. } => v(0.45, 0.45, 0.45) + color * 0.5,
            Material::Matte { .. } => color,
        };
        let new = ball(x, z, radius, material, color);
        let touches = |other: &Ball| {
            let between = other.center - new.center;
            let apart = other.radius + new.radius + 0.05;
            between.dot(between) < apart * apart
        };
        if !balls.iter().any(touches) {
            balls.push(new);
        }
    }
    balls
}

/// A strong color by its place on the color circle, 0 to 1.
fn hue(place: f32) -> Vector {
    let channel = |shift: f32| 0.5 + 0.42 * libm::cosf(core::f32::consts::TAU * (place + shift));
    v(channel(0.0), channel(0.33), channel(0.67))
}
