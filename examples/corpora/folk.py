"""Folk tunes in ABC notation, most of them German and Chinese: the Essen collection, 8,446 tunes.

A tune is its metre (M), the length of a note without a number (L), its key (K), and its bars; title, place and remarks
are left out. A tenth of the tunes is held out, chosen by a checksum of the tune, so it never changes.
"""

import re
import zlib

from vision.datasets.fetch import RemoteFile, fetch
from vision.datasets.pip import PipPackage

BETWEEN = "\n\n"  # tunes

_TABLE = """
    altdeu10 100753 e06c3ad76fa721c7f48610c14e6505710871ce377a952ec3b4c234e38ac8e5d0
    altdeu20 100017 cf42fdf69a85dd54406673bf06e44876766e912c3cde7af64dad403d233fb04f
    ballad10 33161 42b9929100f0ff332550e297e42067ab95c54cfb1f2490f83db78de4351aade2
    ballad20 40504 d4730a7bf7ab060134ba64fe3f9591c38dce10fa8acd9b2c0beaf525839a21a9
    ballad30 52149 22b6d565293dedf8284cf73187baffe435aea611f047fda18e05a0e2cf441bb9
    ballad40 65436 e929bca81e489420cf45bf42e85eec0cff510519d0f87dc5ff9498a3a237ced4
    ballad50 54710 c1640b692f1b35d4a5c103bfeee8a54ca6fea72c088b54d940c6e21ead023f9d
    ballad60 33688 c75abb789d8b3e409315a6c1699df597ebed945f421d6e1218e825950a28141f
    ballad70 34829 6c9f77817554918dbdda736ba22f546687f327ad0d12097cd46083b42cd18c18
    ballad80 30956 6811bb4da0dfa7e15abb247602c4e77400c98b5483bd331cf737cad55c0b4f18
    boehme10 125253 aed0d90d8ecb79a59599857474b02ba4cd880301d0ac2a7adb7ccc4add934cbb
    boehme20 90953 d34e9679e845e410af478c8183841365734cc63d1ccda123458a09ed3742f2c3
    dva0 64835 4d8ad890e8d43d3322944fd12eb0304a5e3db4161b7ea561c8638f078845e53a
    erk10 186749 17e8c80c24cd274d8b76ca62b07020caedb350f4417db11e8ba078208cfbd03e
    erk20 101417 318244ab4c90d54a8f8b33fbf8263dd4a5e4bebf982a10e12b83f63444e10ee5
    erk30 206354 51a736589682412335fd76d2f078f7353eb995af0bda3a7b9c986c4a2293571d
    erk5 7040 223bd3e856b4bf61611c9f128b23019bb0f85f87c2d9759cc650a91cdc5ce50a
    fink0 171915 48c7b54d6ff416dcc9e0504292374c630cc580bfcc5bd226719ad17aecfc7973
    folkHaydn 16069 986b02e207265a60b2da3b4ac6407cf41dea8573ddf182c6c090b22d76628f30
    han1 247918 b03f2e73184c031f59522e542bad6d966e9a7f61911555e183b9760176a642b5
    han2 195076 1c7b8c37ef2d76ad109cd729ddb7931b778b707f96dda7991126b5f06bedff69
    irl 21598 4250bf7f781b6803b0631a44d81320ee0c1387e4acf1d522eec3facd4d8dfec2
    kinder0 54384 f4ac1846da34b9421c67844d1e99362abd4183b03ea34f8fcf655b65bc1759d6
    lot 160212 c76395741f94c391d9097e6083dc8e89c2d6cad910f0e4e418acffd5f7704c82
    lux 210046 0053ef991848694876f80764c64c3a7d9f2354f0ca9e33f72bb3e0ba71c7bb1b
    test0 7936 18c8162d3aed4826347049ff2e02f4353c86bd95d91d957598eee111c36344a4
    test1 5138 75f665086cdead8859328e3fa98fc32e28a597714ed5b2c5d0194da8c098cb90
    testd 2063 72c042441c27e0f1f0a79bc46a012d90fc36fa3375580fe346c9ba024d7165c4
    teste 2020 0939d972a9be4a7ff75444b76656c7c3106115d5af38e09ffea304df61d6d452
    variant0 8372 8d6630bddd44c44fee9badfcc2f547e0da0a1441a4a739a04fe92d847c3fdcaf
    zuccal0 194233 2c655a1284379b1aae3d4f187d259a26e02dff2f63a36bcb77685b44df31581d
"""
FILES = [
    RemoteFile(name + ".abc", int(size), f"sha256:{digest}")
    for name, size, digest in map(str.split, _TABLE.strip().splitlines())
]
PACKAGE = PipPackage(
    "music21==10.5.1",
    "music21/corpus/essenFolksong/",
    20.1,
    "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
)


def tunes() -> list[str]:
    """Every tune once, in the collection's order.

    Raises `DataError` when the package cannot be had, or a file is damaged.

    Source: the Essen folk song collection (Schaffrath, Dahlig-Turek), in ABC notation by Seymour Shlien, in the package
    music21 10.5.1; for non-commercial use.

    >>> print(tunes()[0][:24])                                                      # doctest: +SKIP
    M: 4/4
    L: 1/16
    K: C
    """
    paths = fetch("folk tunes", FILES, [PACKAGE], "folk")
    books = [path.read_text(encoding="utf-8") for path in paths.values()]
    return list(dict.fromkeys(tune for book in books for tune in read(book)))


def read(book: str) -> list[str]:
    r"""The tunes of a file: each begins with a number (X), and of its fields only metre, length and key stay.

    >>> read("X:1\nT: Alle meine Entchen\nM: 2/4\nL: 1/8\nK: C\nCDEF | G2G2 |\n\nX:2\nM: none\nK: D\nD4")
    ['M: 2/4\nL: 1/8\nK: C\nCDEF | G2G2 |', 'M: none\nK: D\nD4']
    """
    tunes = (tune.partition("\nK:") for tune in re.split(r"^X:", book, flags=re.MULTILINE)[1:])
    return [
        "\n".join([*_lines(head, "^[ML]:"), *_lines(key + bars, "^(K:|(?![A-Za-z]:))")]) for head, key, bars in tunes
    ]


def _lines(text: str, pattern: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip() and re.match(pattern, line)]


def text() -> tuple[str, str]:
    """The training text and the held-out text."""
    parts: dict[bool, list[str]] = {False: [], True: []}
    for tune in tunes():
        parts[zlib.crc32(tune.encode()) % 10 == 0].append(tune)
    return BETWEEN.join(parts[False]), BETWEEN.join(parts[True])
