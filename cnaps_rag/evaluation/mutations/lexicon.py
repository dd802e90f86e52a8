"""Words that are put for each other: each pair was chosen by hand to change a claim's meaning, or surely not to."""

from __future__ import annotations


def _pairs(table: str) -> tuple[tuple[str, str], ...]:
    rows = (line.strip().partition(" -> ") for line in table.replace("|", "\n").splitlines())
    return tuple((old.strip(), new.strip()) for old, _, new in rows if old)


def _both_ways(table: str) -> tuple[tuple[str, str], ...]:
    pairs = _pairs(table)
    return pairs + tuple((new, old) for old, new in pairs)


REVERSED = _both_ways(
    """better -> worse | higher -> lower | faster -> slower | larger -> smaller | stronger -> weaker |
    outperforms -> underperforms | outperform -> underperform | outperforming -> underperforming |
    increases -> reduces | increasing -> reducing | improves -> worsens | improving -> worsening |
    enhances -> weakens | enhancing -> weakening | superior -> inferior | strong -> weak |
    early layers -> late layers |
    maximizing -> minimizing | maximizes -> minimizes | easier -> harder | high-quality -> low-quality |
    effectively -> ineffectively | efficiently -> inefficiently | accurate -> inaccurate |
    accurately -> inaccurately |
    effective -> ineffective | suppresses -> amplifies | upsample -> downsample | cheaply -> expensively"""
) + _pairs(
    """surpasses -> trails | surpassing -> trailing | boosts -> hurts | boosting -> hurting |
    little attention -> much attention |
    substantially boost -> substantially reduce | robust -> fragile | suppress -> amplify |
    lightweight -> heavyweight"""
)
"""The opposite of a word, for a claim told the wrong way round. Not where the opposite stands in the claim too."""

THINGS = _both_ways(
    """images -> videos | image -> video | classification -> segmentation | detection -> translation |
    speech -> music | encoders -> decoders | encoder -> decoder | noise -> contrast | robots -> drones |
    summarization -> translation | retrieval -> compression | recommendation -> navigation | users -> patients |
    students -> drivers | annotators -> programmers | webpages -> photographs | meetings -> lectures |
    denoising -> colorization | summaries -> headlines | documents -> recordings | training -> testing"""
)
"""Another thing of the same sort; only where nothing supplied of the source speaks of it."""

NAMES = ("BERT", "COCO", "KITTI", "YOLOv5", "Whisper-L", "LSTM", "GPT-4", "CIFAR-10", "SQuAD", "WaveNet")
"""Names to plant where the request's other sources give none; only those that the request does not hold."""

OVERCLAIMS = _pairs(
    """some -> all | several -> all | often -> always | typically -> always | usually -> always |
    sometimes -> always |
    frequently -> always | partially -> completely | partly -> completely | reduces -> eliminates |
    mitigates -> eliminates | alleviates -> eliminates | reducing -> eliminating | mitigating -> eliminating |
    alleviating -> eliminating | competitive -> unmatched | comparable to -> better than | a key -> the only |
    an important -> the only | one of the largest -> the largest | one of the most -> the most |
    promising -> perfect |
    contributes to -> guarantees | marginal -> enormous | widely used -> universally used |
    a new benchmark -> the only benchmark |
    various -> all | consistently improves -> always perfects | improves classification -> perfects classification |
    improves accuracy -> perfects accuracy | minimal -> no | nearly impossible -> entirely impossible |
    nearly all -> all | correlates with -> causes |
    is associated with -> is caused by | a novel -> the best"""
)
"""What is said, and what is more than that. Not in a denial, where more said is less."""

SYNONYMS = _pairs(
    """authors propose -> authors present | paper proposes -> paper presents |
    authors introduce -> authors present |
    paper introduces -> paper presents | utilize -> use | utilizes -> uses | utilizing -> using |
    employ -> use | leverage -> use | leverages -> uses | leveraging -> using | demonstrate that -> show that |
    demonstrates that -> shows that | show that -> demonstrate that | shows that -> demonstrates that |
    find that -> observe that |
    significantly -> substantially | substantially -> considerably | a novel -> a new | in order to -> to |
    extensive experiments -> thorough experiments | outperforms -> surpasses | outperform -> surpass |
    crucial -> essential |
    furthermore -> moreover | moreover -> furthermore | additionally -> in addition | however -> nevertheless |
    e.g. -> for example |
    such as -> like | for example -> for instance | for instance -> for example | consists of -> comprises |
    challenging -> difficult | enables -> allows | previous research -> earlier research |
    previous methods -> earlier methods |
    previous works -> earlier works | existing methods -> current methods |
    existing approaches -> current approaches |
    images -> pictures | focus on -> concentrate on | investigate -> examine | investigates -> examines |
    obtain -> get | the widely used -> the commonly used | numerous -> many | rapidly -> quickly |
    therefore -> thus | thus -> therefore | real-world -> real-life | key -> central |
    fundamental -> essential |
    aims to -> seeks to | aim is to -> goal is to | results show -> findings show | achieves -> reaches |
    lack -> do not have | typically -> usually | usually -> typically | often -> frequently"""
)
"""Two ways to say one thing in the abstracts of this field."""

# "Key" of a lock, "lack" and "focus" as nouns, "images" in a compound: what follows or stands before decides.
NOT_BEFORE_SYNONYM: dict[str, str] = {
    "images": r"[-)]",
    "key": r"(?:s|-|point|frame|word|challenge is)",
    "lack": r"(?: of|ing|s)",
    "obtain": r"s|ed",
    "crucial": r"ly",
    "fundamental": r"ly",
    "achieves": r" to",
    "such as": r" (?:is|was)",
    "employ": r"e|m|i",
}
"""Where a synonym is none: a pattern of what follows the word."""

NOT_AFTER_SYNONYM: dict[str, str] = {
    "lack": r"(?:\b(?:the|a|this|of|their|its|any|no)|may|can|might|could|not|to)\s$",
    "key": r"(?:query|queries|value|and|the|,)\s$",
    "leverage": r"(?:the|a|of)\s$",
    "employ": r"to\s$",
    "focus on": r"\b(?:a|the|their|its)\s$",
}
"""Where a synonym is none: a pattern of what stands before the word."""

VERBS = _pairs(
    """outperforms -> outperform | improves -> improve | reduces -> reduce | achieves -> achieve |
    provides -> provide |
    enhances -> enhance | enables -> enable | requires -> require | suffers -> suffer |
    introduces -> introduce |
    consists -> consist | supports -> support | increases -> increase | surpasses -> surpass |
    contains -> contain |
    includes -> include | generates -> generate | predicts -> predict | captures -> capture |
    preserves -> preserve |
    suppresses -> suppress | focuses -> focus | exhibits -> exhibit | generalizes -> generalize |
    relies -> rely |
    mitigates -> mitigate | allows -> allow | leads -> lead | learns -> learn | shows -> show |
    evaluates -> evaluate |
    studies -> study | depends -> depend | challenges -> challenge | plays -> play | remains -> remain"""
)
"""Third person -> base form, of verbs that are negated by "does not"."""

AUTHORS_DO = (
    "find|show|propose|introduce|demonstrate|present|uncover|develop|evaluate|provide|conduct|employ|use|explore|"
    "investigate|study|analyze|analyse|examine|observe|train|apply|design|release|describe|compare|create|build"
)
"""Verbs that "the authors" take in abstracts, as a regular expression."""

EFFECTS = (
    "boost|improve|reduce|increase|lead|enhance|cause|degrade|harm|hurt|help|outperform|lower|raise|mitigate|prevent|"
    "result|affect|alter|limit|introduce|yield|produce|achieve|match|exceed|replace"
)
"""Verbs of an effect: that something can have one is less than that it has it."""

UNITS = _pairs(
    """km -> m | m -> km | cm -> m | mm -> cm | ms -> s | seconds -> minutes | minutes -> hours |
    hours -> days |
    days -> weeks | weeks -> months | months -> years | years -> months | MB -> GB | GB -> MB | KB -> MB |
    Hz -> kHz | kHz -> Hz |
    GHz -> MHz | px -> mm | dB -> Hz | million -> billion | billion -> million | thousand -> million | M -> B |
    B -> M |
    k -> M | K -> M | % -> x | x -> % | × -> % | fps -> Hz | percent -> times"""
)
"""A unit or scale and another one; the number before it stays, so the quantity never does."""
