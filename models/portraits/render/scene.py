"""From surfaces to pixels: rasterise, light, scatter under the skin, develop."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from models.portraits.render import raster, shading
from models.portraits.render.camera import DISTANCE, Camera
from models.portraits.render.color import Array, blend, encode, linear, smoothstep
from models.portraits.render.lights import Light, lights
from models.portraits.render.mesh import Index
from models.portraits.render.person import Person
from models.portraits.render.surface import Material, Surface, normals, unit

SCATTER = (0.034, 0.016, 0.010)  # decimetres that red, green and blue light spread in skin
BOUNCE = np.array(
    [0.12, 0.042, 0.024], np.float32
)  # light that skin gives back to its own shadows
GRAIN = 0.006  # standard deviation of the sensor's noise, in sRGB
SHOULDER = 0.42  # linear level above which highlights are compressed
BOX = np.array(
    [[-1.9, -2.2, -2.0], [1.9, 1.9, 1.8]], np.float32
)  # what casts shadows, camera frame
FLOOR = -2.6  # decimetres under the picture's centre, under which nothing casts a shadow

# Columns of the values that are interpolated at each pixel.
POSITION, NORMAL, ALBEDO, TANGENT = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 12)
GLOSS, SPECULAR, COLUMNS = 12, 13, 14


@dataclass
class Pixels:
    """What is seen at each drawn pixel (p of them)."""

    rows: Index
    columns: Index
    values: Array  # (p, COLUMNS)
    material: Index


def render(person: Person, surfaces: Sequence[Surface], camera: Camera, size: int) -> Array:
    """The picture (size, size, 3), sRGB in 0-1; the camera's size is a multiple of `size`."""
    pixels = _rasterise(surfaces, camera)
    view = unit(np.array([0, 0, DISTANCE], np.float32) - pixels.values[:, POSITION])
    diffuse, specular = _light(surfaces, camera, pixels, view, lights(person.shot))
    skin = pixels.material == Material.SKIN
    _scatter(pixels, skin, diffuse, camera)
    bounce = 1 + skin[:, None] * BOUNCE * (1 - np.clip(diffuse, 0, 1))
    light = pixels.values[:, ALBEDO] * diffuse * bounce
    light += 0.6 * specular * pixels.values[:, SPECULAR, None]
    light *= _exposure(person, diffuse[skin])
    picture = _backdrop(person, camera.size)
    picture[pixels.rows, pixels.columns] = light
    return _develop(picture, size, person.seed)


def _rasterise(surfaces: Sequence[Surface], camera: Camera) -> Pixels:
    n_points = sum(len(surface.points) for surface in surfaces)
    n_triangles = sum(len(surface.triangles) for surface in surfaces)
    values = np.zeros((n_points, COLUMNS), np.float32)
    opacity = np.ones(n_points, np.float32)
    triangles = np.empty((n_triangles, 3), np.int32)
    dither = np.zeros(n_triangles, np.int32)
    one_sided = np.zeros(n_triangles, np.bool_)
    surface_of = np.empty(n_triangles, np.int32)
    point, triangle = 0, 0
    for k, surface in enumerate(surfaces):
        here = slice(point, point + len(surface.points))
        there = slice(triangle, triangle + len(surface.triangles))
        values[here, POSITION] = camera.turn(surface.points)
        values[here, NORMAL] = normals(
            np.ascontiguousarray(values[here, POSITION]), surface.triangles
        )
        values[here, ALBEDO] = surface.albedo
        values[here, GLOSS] = surface.gloss
        values[here, SPECULAR] = surface.specular
        if surface.tangents is not None:
            values[here, TANGENT] = surface.tangents @ camera.rotation.T
        if surface.opacity is not None:
            opacity[here], dither[there] = surface.opacity, k + 1
        triangles[there] = surface.triangles + point
        one_sided[there] = not surface.two_sided
        surface_of[there] = k
        point, triangle = here.stop, there.stop
    shape = (camera.size, camera.size)
    depth, owner = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int32)
    second, third = np.empty(shape, np.float32), np.empty(shape, np.float32)
    screen = camera.project(values[:, POSITION]).astype(np.float32)
    raster.draw(screen, triangles, opacity, dither, one_sided, depth, owner, second, third)
    rows, columns = (axis.astype(np.int32) for axis in np.nonzero(owner >= 0))
    seen = np.empty((len(rows), COLUMNS), np.float32)
    raster.gather(rows, columns, owner, second, third, triangles, values, seen)
    seen[:, NORMAL] = unit(seen[:, NORMAL])
    seen[:, TANGENT] = unit(seen[:, TANGENT])
    which = surface_of[owner[rows, columns]]
    two_sided = np.array([surface.two_sided for surface in surfaces])[which]
    to_camera = np.array([0, 0, DISTANCE], np.float32) - seen[:, POSITION]
    away = two_sided & ((seen[:, NORMAL] * to_camera).sum(1) < 0)
    seen[away, NORMAL] *= -1
    material = np.array([surface.material for surface in surfaces], np.int32)[which]
    return Pixels(rows, columns, seen, material)


def _light(
    surfaces: Sequence[Surface], camera: Camera, pixels: Pixels, view: Array, rig: Sequence[Light]
) -> tuple[Array, Array]:
    """Irradiance and reflected highlights (p, 3) of all lights, each with its shadows."""
    points, triangles = _casters(surfaces, camera)
    corners = np.array(
        [[BOX[a, 0], BOX[b, 1], BOX[c, 2]] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    )
    position, normal, tangent = (
        np.ascontiguousarray(pixels.values[:, s]) for s in (POSITION, NORMAL, TANGENT)
    )
    gloss = np.ascontiguousarray(pixels.values[:, GLOSS])
    diffuse, specular = np.zeros_like(position), np.zeros_like(position)
    for light in rig:
        right = unit(np.cross([0, 1, 0], light.direction).astype(np.float32))
        basis = np.stack([right, np.cross(light.direction, right), light.direction]).astype(
            np.float32
        )
        across = corners @ basis[:2].T
        low = across.min(0).astype(np.float32)
        scale = np.float32(light.cells / (across.max(0) - low).max())
        depth = np.full((light.cells, light.cells), -np.inf, np.float32)
        raster.shadow_map(points, triangles, basis, low, scale, depth)
        source = (basis, low, scale, depth, light.color.astype(np.float32), light.highlights)
        shading.shade(
            position, normal, tangent, pixels.material, gloss, view, source, diffuse, specular
        )
    return diffuse, specular


def _casters(surfaces: Sequence[Surface], camera: Camera) -> tuple[Array, Index]:
    points, triangles, start = [], [], 0
    for surface in surfaces:
        if surface.shadow is not None:
            points.append(camera.turn(surface.shadow[0]))
            triangles.append(surface.shadow[1] + start)
            start += len(points[-1])
    every, corners = np.concatenate(points), np.concatenate(triangles)
    return every, np.ascontiguousarray(corners[(every[:, 1] > FLOOR)[corners].all(1)])


def _scatter(pixels: Pixels, skin: Array, diffuse: Array, camera: Camera) -> None:
    """Blur the irradiance of skin in the picture, red most: a cheap subsurface scattering."""
    size = camera.size
    rows, columns = pixels.rows[skin], pixels.columns[skin]
    if not len(rows):
        return
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    mask, plane = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    mask[rows, columns] = 1
    for channel, reach in enumerate(SCATTER):
        sigma = reach * camera.focal / DISTANCE
        plane[rows, columns] = diffuse[skin, channel]
        spread, cover = np.zeros_like(plane), np.zeros_like(mask)
        spread[window] = gaussian_filter(plane[window], sigma, mode="constant", truncate=2.5)
        cover[window] = gaussian_filter(mask[window], sigma, mode="constant", truncate=2.5)
        diffuse[skin, channel] = (spread / np.maximum(cover, 1e-3))[rows, columns]


def _exposure(person: Person, skin_light: Array) -> float:
    """Expose for the face, dark skin by a little more, as a photographer does."""
    level = float(np.median(skin_light.mean(1))) if len(skin_light) else 1.0
    return (
        person.shot.exposure
        * (0.78 + 0.16 * float(np.clip((person.monk - 5) / 4, 0, 1)))
        / max(level, 0.2)
    )


def _backdrop(person: Person, size: int) -> Array:
    across = np.linspace(-1, 1, size, dtype=np.float32)
    angle = person.shot.backdrop_angle
    along = np.cos(angle) * across[None, :] + np.sin(angle) * across[:, None]
    near, far = linear(person.shot.backdrop)
    return blend(np.broadcast_to(near, (size, size, 3)), far, smoothstep(-1.3, 1.3, along))


def _develop(picture: Array, size: int, seed: int) -> Array:
    """Compress highlights, shrink to `size`, add grain and encode."""
    over = np.maximum(picture - SHOULDER, 0)
    picture = np.minimum(picture, SHOULDER) + over / (1 + 1.1 * over)
    step = picture.shape[0] // size
    small = picture.reshape(size, step, size, step, 3).mean((1, 3))
    grain = np.random.default_rng(seed).normal(0, GRAIN, small.shape)
    return np.asarray(np.clip(encode(small) + grain, 0, 1), np.float32)
