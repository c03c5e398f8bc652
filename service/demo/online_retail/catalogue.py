"""What the shop's items are called on the wire: a short code, and a category read from the item's name."""

import re
from functools import cache

from service.demo.online_retail.lines import Item

# The first category with a word of the name decides, so the narrow ones stand first. What is no ware
# (postage, fees, corrections by hand) is `virtual`, for which the shipped rule book gives no beans.
CATEGORIES: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (category, frozenset(words.split()))
    for category, words in (
        ("virtual", "POSTAGE CARRIAGE MANUAL CHARGES COMMISSION DISCOUNT RESOLUTION"),
        ("christmas", "CHRISTMAS XMAS ADVENT SANTA REINDEER NOEL SNOWFLAKE SNOWMAN BAUBLE"),
        ("easter", "EASTER EGG EGGS CHICK BUNNY"),
        ("bag", "BAG BAGS SHOPPER HANDBAG RUCKSACK PURSE"),
        ("lunch", "LUNCH SNACK BENTO PICNIC"),
        ("warmer", "HOTTIE WARMER WARMERS BOTTLE"),
        ("mug", "MUG MUGS TEACUP CUP CUPS SAUCER BEAKER TUMBLER"),
        ("candle", "CANDLE CANDLES CANDLESTICK CANDLEHOLDER T-LIGHT T-LIGHTS TEALIGHT INCENSE"),
        ("light", "LIGHT LIGHTS LAMP LAMPSHADE LANTERN LANTERNS LED CHANDELIER TORCH"),
        ("clock", "CLOCK CLOCKS TIMER"),
        ("frame", "FRAME FRAMES PHOTO PICTURE MIRROR CANVAS PRINTS"),
        ("sign", "SIGN SIGNS CHALKBOARD MEMOBOARD PLAQUE NOTICEBOARD BLACKBOARD WORD"),
        ("doormat", "DOORMAT MAT RUG"),
        ("cushion", "CUSHION CUSHIONS THROW QUILT PILLOW BLANKET BEDROOM CURTAIN"),
        ("baking", "CAKE CAKES BAKING CUTTER CUTTERS COOKIE JELLY MOULD MOULDS MUFFIN"),
        ("tea", "TEA TEAPOT COFFEE SUGAR JUG MILK"),
        ("kitchen", "APRON TOWEL TOWELS OVEN GLOVE RECIPE SCALES KITCHEN SPOON SPOONS CHOPPING PANTRY"),
        ("tableware", "BOWL BOWLS PLATE PLATES DISH TRAY CUTLERY CAKESTAND NAPKINS DOILY GLASS GLASSES"),
        ("tin", "TIN TINS"),
        ("jar", "JAR JARS JAM VASE VASES BOTTLES"),
        ("paper", "WRAP PAPER TISSUE RIBBON RIBBONS TAPE DOILIES DOILEY ENVELOPES TAGS"),
        ("card", "CARD CARDS POSTCARD POSTCARDS"),
        ("stationery", "PENCIL PENCILS PEN PENS NOTEBOOK NOTEBOOKS ERASER ERASERS RULER BOOK STICKER"),
        ("party", "PARTY BUNTING GARLAND BALLOON BALLOONS BIRTHDAY CONFETTI"),
        ("toy", "TOY TOYS DOLL DOLLY GAME JIGSAW PUZZLE PUZZLES BABUSHKA DOMINOES PLAYHOUSE SKITTLES"),
        ("craft", "CRAFT FELTCRAFT SEWING KNITTING KIT FELT PAINT STAMP STAMPS"),
        ("garden", "GARDEN GARDENERS PLANT PLANTER HERB POT POTS PARASOL SEED SEEDS WATERING KNEELING"),
        ("jewellery", "NECKLACE BRACELET EARRINGS RING BROOCH HAIR JEWELLERY TRINKET BANGLE BEADS"),
        ("hook", "HOOK HOOKS HANGER HANGERS KNOB KNOBS RACK RAIL DOORSTOP KEY KEYS"),
        ("storage", "BOX BOXES DRAWER DRAWERS CABINET BASKET STORAGE CRATE BIN CHEST"),
        ("travel", "TRAVEL PASSPORT WALLET LUGGAGE UMBRELLA UMBRELLAS"),
        ("care", "PLASTERS TISSUES SOAP BATH SPONGE BALM TOOTHBRUSH"),
        ("children", "CHILDS CHILDRENS KIDS BABY GIRL GIRLS BOY BOYS"),
        (
            "ornament",
            "HEART HEARTS DECORATION DECORATIONS ORNAMENT ORNAMENTS WREATH BELL BELLS STAR STARS BIRD",
        ),
        ("magnet", "MAGNET MAGNETS"),
    )
)
OTHER = "gift"

_WORD = re.compile(r"[A-Z]+(?:-[A-Z]+)*")


def sku(item: Item) -> str:
    """The item's code, six digits: 100000 for the first item that the record names, then on."""
    return str(100_000 + item.number)


@cache
def category(item: Item) -> str:
    """The category of an item by the words of its name."""
    words = set(_WORD.findall(item.name.upper()))
    return next((name for name, known in CATEGORIES if not known.isdisjoint(words)), OTHER)
