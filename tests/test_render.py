"""The renderer: who is drawn, how a set is written and resumed, and its geometry and pixels.

What draws no pixel is tested everywhere. Pixels need numba; whole portraits also need the CC0
meshes (their folder in BIAS_AUDIT_MESHES) and the body model (its file in BIAS_AUDIT_BODY).
"""

import io
import json
import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from audit.errors import InputError, SpecError
from models.portraits.render import anatomy, mesh, person, produce, subdivision
from models.portraits.render.fit import read_fit
from models.portraits.render.person import AGE_RANGE, GENDERS, OCCUPATIONS, RACES
from models.portraits.render.sampling import draw

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
CUBE_QUADS = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]], np.int32
)


@pytest.fixture(scope="module")
def drawn() -> list[person.Person]:
    return [produce.person_at(7, index) for index in range(2500)]


class TestSampling:
    def test_a_row_depends_on_seed_and_index_alone(self):
        first, again = produce.person_at(3, 41), produce.person_at(3, 41)
        assert asdict(first) == asdict(again)
        assert asdict(first) != asdict(produce.person_at(3, 42))
        assert asdict(first) != asdict(produce.person_at(4, 41))

    def test_gender_race_age_and_occupation_are_uniform(self, drawn):
        for attribute, classes in (
            ("gender", GENDERS),
            ("race", RACES),
            ("occupation", OCCUPATIONS),
        ):
            counts = Counter(getattr(p, attribute) for p in drawn)
            assert set(counts) == set(classes)
            share = 1 / len(classes)
            spread = (share * (1 - share) / len(drawn)) ** 0.5
            assert all(abs(counts[c] / len(drawn) - share) < 4 * spread for c in classes)
        ages = np.sort([p.age for p in drawn])
        assert ages[0] >= AGE_RANGE[0]
        assert ages[-1] <= AGE_RANGE[1]
        uniform = (ages - AGE_RANGE[0]) / (AGE_RANGE[1] - AGE_RANGE[0])
        # The critical value of Kolmogorov and Smirnov at one in a thousand.
        assert np.abs(uniform - np.arange(len(ages)) / len(ages)).max() < 1.95 / len(ages) ** 0.5

    def test_gender_race_age_and_occupation_are_independent(self, drawn):
        columns = {
            "woman": [p.is_woman for p in drawn],
            "old": [p.age_class == "old" for p in drawn],
            **{r: [p.race == r for p in drawn] for r in RACES[:-1]},
            **{o: [p.occupation == o for p in drawn] for o in OCCUPATIONS[:-1]},
        }
        correlation = np.corrcoef(np.array(list(columns.values()), float))
        kind = ["gender", "age", *["race"] * 3, *["occupation"] * 10]
        across = np.array([[a != b for b in kind] for a in kind])
        assert np.abs(correlation[across]).max() < 4 / len(drawn) ** 0.5

    def test_fixing_an_attribute_leaves_the_other_three(self):
        free = draw(np.random.default_rng([1, 5]))
        fixed = draw(np.random.default_rng([1, 5]), occupation="nurse")
        assert fixed.occupation == "nurse"
        assert (fixed.gender, fixed.age, fixed.race) == (free.gender, free.age, free.race)

    def test_labels_are_in_range(self, drawn):
        for p in drawn[:300]:
            row = produce.labels(p)
            assert row["age_class"] == (
                "young" if p.age < 35 else "adult" if p.age < 60 else "old"
            )
            assert 1 <= row["monk"] <= 10
            assert row["smile"] == 0 or 0.35 <= row["smile"] <= 1
            assert abs(row["yaw"]) <= 24
            assert 0 <= row["makeup"] <= 1
            if row["gender"] == "woman":
                assert row["beard"] == "none"
            else:
                assert (row["makeup"], row["earring"]) == (0, False)
            assert (row["headwear"] == "none") == (row["occupation"] not in person.HEADWEAR)
            assert sum(p.build.morph.values()) == pytest.approx(1)

    @pytest.mark.parametrize(
        ("fixed", "message"),
        [
            ({"occupation": "nurs"}, "did you mean 'nurse'"),
            ({"race": "white"}, "unknown race 'white'"),
            ({"age": 12.0}, "age is 12; it can be 18 to 85 years"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, fixed, message):
        with pytest.raises(SpecError, match=message):
            draw(np.random.default_rng(0), **fixed)

    def test_faces_age_steadily_and_most_at_the_class_borders(self):
        aged = np.array([anatomy.ageing(years) for years in range(18, 86)])
        assert np.all(np.diff(aged) > 0)
        step = dict(zip(range(18, 85), np.diff(aged), strict=True))
        assert step[36] > 2 * step[28]
        assert step[60] > 2 * step[50]


class TestGeometry:
    def test_catmull_clark_of_a_cube(self):
        matrix, quads = subdivision.subdivide(CUBE_QUADS, 8)
        points = matrix @ CUBE
        assert points.shape == (8 + 12 + 6, 3)
        assert quads.shape == (24, 4)
        # (F + 2R + (n - 3)P) / n with F = 1/3, R = 2/3, n = 3 in each coordinate.
        np.testing.assert_allclose(np.abs(points[:8]), 5 / 9, rtol=1e-6)
        # The edge's middle (1, 1, 0) and the mean of its faces' (1/2, 1/2, 0), halved.
        np.testing.assert_allclose(np.sort(np.abs(points[8:20])), [[0, 0.75, 0.75]] * 12)
        np.testing.assert_allclose(np.sort(np.abs(points[20:])), [[0, 0, 1]] * 6)

    def test_an_open_edge_stays_in_its_plane(self):
        square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
        matrix, _ = subdivision.refine(np.array([[0, 1, 2, 3]], np.int32), 4, 2)
        points = matrix @ square
        assert np.all(points[:, 2] == 0)
        np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1, rtol=1e-6)

    def test_distance_to_rim(self):
        grid = np.array([[x, y, 0] for y in range(3) for x in range(3)], np.float32)
        quads = np.array([[0, 1, 4, 3], [1, 2, 5, 4], [3, 4, 7, 6], [4, 5, 8, 7]], np.int32)
        np.testing.assert_allclose(mesh.distance_to_rim(grid, quads), [0, 0, 0, 0, 1, 0, 0, 0, 0])
        assert np.isinf(mesh.distance_to_rim(CUBE, CUBE_QUADS)).all()

    def test_a_garment_follows_its_anchors(self, tmp_path):
        path = tmp_path / "hat.mhclo"
        path.write_text(
            "# a comment\nx_scale 0 1 2.0\ny_scale 0 2 1.0\nz_scale 0 1 2.0\nmaterial hat.mhmat\n"
            "verts 0\n0 1 2 0.5 0.5 0.0 1.0 0.0 0.0\n2\ndelete_verts\n5 - 9\n"
        )
        body = np.array([[0, 0, 0], [4, 0, 0], [0, 1, 0]], np.float32)
        # Halfway between the first two, and 1 to the side of a body twice as wide as its model.
        np.testing.assert_allclose(read_fit(path)(body), [[4, 0, 0], [0, 1, 0]])

    def test_a_broken_garment_is_named_by_line(self, tmp_path):
        path = tmp_path / "hat.mhclo"
        path.write_text("x_scale 0 1 2.0\ny_scale 0 two 1.0\n")
        with pytest.raises(InputError, match=r"hat\.mhclo:2: expected numbers, found 'y_scale"):
            read_fit(path)


class Painter:
    """Stands for the studio: pictures of one colour, told apart by the person's seed."""

    def render(self, who, size):
        return np.full((size, size, 3), (who.seed % 251) / 251, np.float32)


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(produce, "SHARD", 4)
    monkeypatch.setattr(produce, "SIZE", 16)
    (tmp_path / "body.npz").touch()
    job = produce.Job(tmp_path, tmp_path / "body.npz", tmp_path / "set", 10, 5, workers=1)

    def open_(given):
        monkeypatch.setattr(produce, "_job", given)
        monkeypatch.setattr(produce, "_studio", Painter())

    monkeypatch.setattr(produce, "_open", open_)
    return job


def table(job):
    parts = [pq.read_table(path) for path in sorted(job.out.glob("*.parquet"))]
    return [row for part in parts for row in part.to_pylist()]


class TestProduce:
    def test_rows_hold_pictures_and_labels(self, job):
        assert list(produce.produce(job)) == [0, 1, 2]
        rows = table(job)
        assert [row["index"] for row in rows] == list(range(10))
        assert len({row["image"]["path"] for row in rows}) == 10
        for row in rows:
            expected = produce.labels(produce.person_at(5, row["index"]))
            assert {key: row[key] for key in expected} == expected
            picture = Image.open(io.BytesIO(row["image"]["bytes"]))
            assert (picture.format, picture.size) == ("WEBP", (16, 16))

    def test_a_stopped_set_goes_on_to_the_same_rows(self, job, tmp_path):
        whole = replace(job, out=tmp_path / "whole")
        list(produce.produce(whole))
        steps = produce.produce(job)
        assert next(steps) == 0
        steps.close()  # stopped after the first shard
        assert produce.missing(job) == [1, 2]
        assert list(produce.produce(job)) == [1, 2]
        assert table(job) == table(whole)

    def test_a_larger_set_keeps_what_is_there(self, job):
        list(produce.produce(job))
        before = table(job)
        assert list(produce.produce(replace(job, images=13))) == [2, 3]  # 2 was short
        after = table(job)
        assert len(after) == 13
        assert after[:10] == before

    def test_a_folder_holds_one_seed_and_one_version(self, job, monkeypatch):
        list(produce.produce(job))
        with pytest.raises(InputError, match="seed 5, not 6"):
            list(produce.produce(replace(job, seed=6)))
        monkeypatch.setattr(produce, "VERSION", produce.VERSION + 1)
        with pytest.raises(InputError, match="choose another folder"):
            list(produce.produce(job))
        assert json.loads((job.out / produce.RECORD).read_text())["seed"] == 5


def buffers(side):
    """Empty depth, owner and weights, as the rasteriser writes them."""
    shape = (side, side)
    depth, owner = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int32)
    return depth, owner, np.zeros(shape, np.float32), np.zeros(shape, np.float32)


class TestPixels:
    @pytest.fixture(autouse=True)
    def compiled(self):
        pytest.importorskip("numba", reason="the rasteriser needs numba")

    def test_the_nearer_triangle_is_seen(self):
        from models.portraits.render import raster

        corners = np.array([[-9, -9], [30, -9], [-9, 30]], np.float32)
        screen = np.concatenate([np.c_[corners, np.full(3, z, np.float32)] for z in (1, 2)])
        triangles = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
        depth, owner, second, third = buffers(8)
        opaque, whole = np.zeros(2, np.int32), np.ones(6, np.float32)
        both = np.zeros(2, np.bool_)
        raster.draw(screen, triangles, whole, opaque, both, depth, owner, second, third)
        assert (owner == 1).all()
        np.testing.assert_allclose(depth, 2)
        # The centre of the pixel in column 2, row 5 is (2.5, 5.5): 11.5/39 and 14.5/39 away.
        np.testing.assert_allclose((second[5, 2], third[5, 2]), (11.5 / 39, 14.5 / 39), rtol=1e-5)

    def test_opacity_is_the_share_of_pixels_covered(self):
        from models.portraits.render import raster

        screen = np.array([[-9, -9, 1], [400, -9, 1], [-9, 400, 1]], np.float32)
        depth, owner, second, third = buffers(128)
        triangle, veil = np.array([[0, 1, 2]], np.int32), np.array([3], np.int32)
        both = np.zeros(1, np.bool_)
        thin = np.full(3, 0.3, np.float32)
        raster.draw(screen, triangle, thin, veil, both, depth, owner, second, third)
        assert (owner == 0).mean() == pytest.approx(0.3, abs=0.02)

    def test_a_shadow_falls_behind_what_casts_it(self):
        from models.portraits.render import raster, shading

        blocker = np.array([[-9, -9, 1], [9, -9, 1], [0, 9, 1]], np.float32)
        depth = np.full((32, 32), -np.inf, np.float32)
        basis, low, scale = np.eye(3, dtype=np.float32), np.full(2, -2, np.float32), np.float32(8)
        triangle = np.array([[0, 1, 2]], np.int32)
        raster.shadow_map(blocker, triangle, basis, low, scale, depth)
        points = np.array([[0, 0, 0], [0, 0, 2]], np.float32)  # behind it and before it
        up = np.tile(np.array([0, 0, 1], np.float32), (2, 1))
        light = (basis, low, scale, depth, np.ones(3, np.float32), False)
        diffuse, specular = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)
        cloth, gloss = np.full(2, 3, np.int32), np.ones(2, np.float32)
        shading.shade(points, up, up, cloth, gloss, up, light, diffuse, specular)
        np.testing.assert_allclose(diffuse, [[0, 0, 0], [1, 1, 1]])
        assert not specular.any()

    def test_normals_of_a_cube_point_out(self):
        from models.portraits.render.surface import normals

        out = normals(CUBE, mesh.triangulate(CUBE_QUADS))
        assert (out * CUBE > 0).all()

    def test_noise_differs_by_person_and_channel(self):
        from models.portraits.render.noise import Noise

        points = np.random.default_rng(0).uniform(0, 9, (4000, 3)).astype(np.float32)
        field = Noise(1)(points, 5, 2)
        np.testing.assert_array_equal(field, Noise(1)(points, 5, 2))
        assert abs(field.mean()) < 0.1
        assert 0.4 < field.std() < 0.8
        for other in (Noise(1)(points, 5, 3), Noise(2)(points, 5, 2)):
            assert abs(np.corrcoef(field, other)[0, 1]) < 0.2


@pytest.fixture(scope="module")
def studio():
    pytest.importorskip("numba", reason="the rasteriser needs numba")
    meshes, body = (os.environ.get(f"BIAS_AUDIT_{name}") for name in ("MESHES", "BODY"))
    if not meshes or not body:
        pytest.skip("BIAS_AUDIT_MESHES and BIAS_AUDIT_BODY do not name the meshes and body model")
    from models.portraits.render.portrait import Studio

    return Studio.furnish(Path(meshes), Path(body))


class TestPortrait:
    def test_the_same_person_gives_the_same_pixels(self, studio):
        who = produce.person_at(1, 0)
        picture = studio.render(who, 64)
        assert picture.shape == (64, 64, 3)
        assert 0 <= picture.min() < picture.max() <= 1
        np.testing.assert_array_equal(picture, studio.render(who, 64))
        assert np.abs(picture - studio.render(produce.person_at(1, 1), 64)).mean() > 0.05

    @pytest.mark.parametrize("occupation", OCCUPATIONS)
    def test_every_occupation_renders_for_either_gender(self, studio, occupation):
        for gender in GENDERS:
            who = draw(np.random.default_rng([2, 3]), gender=gender, occupation=occupation)
            assert np.isfinite(studio.render(who, 32)).all()

    def test_darker_tones_render_darker(self, studio):
        who = draw(np.random.default_rng(4), occupation="casual", gender="man", age=30.0)
        who = replace(who, hair=replace(who.hair, style="bald", beard="none"))
        face = np.s_[26:36, 26:38]
        light, dark = (studio.render(replace(who, monk=monk), 64)[face] for monk in (2.0, 9.0))
        assert light.mean() > dark.mean() + 0.15
