"""The colours that people and clothes come in, as 8-bit sRGB, by what decides between them."""

from models.portraits.render.person import Rgb

HAIR_COLORS: dict[str, Rgb] = {
    "black": (22, 18, 17),
    "darkbrown": (48, 33, 25),
    "brown": (84, 56, 37),
    "lightbrown": (126, 92, 60),
    "blond": (196, 160, 104),
    "red": (140, 66, 32),
    "grey": (142, 140, 138),
    "white": (198, 195, 190),
}
IRISES: dict[str, Rgb] = {
    "brown": (74, 44, 24),
    "hazel": (98, 78, 42),
    "green": (88, 104, 70),
    "blue": (86, 120, 150),
    "grey": (120, 128, 132),
}
# Colours by occupation; a shirt or a T-shirt may have any colour where none is named.
UNIFORMS: dict[str, tuple[Rgb, ...]] = {
    "nurse": ((32, 138, 140), (46, 116, 176), (70, 160, 190), (60, 150, 120)),
    "barista": ((38, 34, 32), (28, 66, 44), (98, 56, 34)),
    "construction": ((215, 235, 40), (255, 130, 20)),
    "cleaner": ((236, 96, 148), (250, 200, 50), (150, 90, 190), (240, 120, 60)),
    "firefighter": ((36, 36, 42), (30, 36, 58), (50, 40, 34)),
}
SHIRTS: dict[str, tuple[Rgb, ...]] = {
    "office": (
        (206, 220, 236),
        (226, 226, 224),
        (150, 182, 214),
        (222, 196, 206),
        (196, 214, 190),
    ),
    "barista": ((232, 228, 218), (226, 214, 190), (196, 200, 204)),
    "cleaner": ((226, 230, 232), (190, 210, 224)),
    "doctor": ((60, 120, 160), (40, 130, 125), (170, 196, 222), (222, 226, 230)),
    "construction": ((30, 32, 40), (45, 50, 62), (70, 70, 74), (90, 76, 60)),
    "executive": ((228, 228, 228),),
}
JACKETS: dict[str, tuple[Rgb, ...]] = {
    "office": ((112, 106, 98), (132, 112, 86), (96, 112, 128), (120, 124, 116)),
    "executive": ((20, 21, 26), (22, 28, 48), (44, 45, 50)),
}
ACCENTS: dict[str, tuple[Rgb, ...]] = {
    "executive": ((176, 22, 30), (32, 74, 170), (120, 18, 40), (206, 160, 40)),
    "cook": ((196, 34, 36), (34, 80, 170), (36, 120, 70)),
    "office": ((190, 40, 44), (30, 90, 180), (40, 140, 90), (226, 150, 30)),
    "cleaner": ((210, 40, 60), (40, 110, 200), (90, 170, 80), (240, 190, 60)),
}
HELMETS: dict[str, tuple[Rgb, ...]] = {
    "construction": ((245, 200, 40), (235, 235, 230), (60, 110, 200), (230, 120, 30)),
    "firefighter": ((186, 22, 22), (24, 24, 26)),
}
