"""The words, by language, that show that a sentence speaks of now; data only, as parts of regular expressions.

How a prompt is judged by them is `questions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

# Enough alone, in any sentence. Kept narrow: "the current user" and "the latest row" are talk about code.
ALWAYS: Mapping[str, tuple[str, ...]] = {
    "en": (
        r"(?:latest|newest|most recent|current|recent) (?:stable )?(?:versions?|releases?|news|prices?|events?)",
        r"(?:latest|current|recent) (?:updates?|developments?|exchange rates?|standings|scores?|state of the art)",
        r"(?:latest|current) weather|current (?:president|prime minister|chancellor|ceo|champions?|world record)",
        r"today['’]s (?:news|weather|prices?|date|exchange rates?|scores?|headlines)",
        r"as of (?:today|now|this (?:week|month|year))",
        r"breaking news|stock prices?|share prices?|exchange rates?|weather (?:in|forecast)",
    ),
    "de": (
        r"(?:aktuell|neuest|jüngst)\w* (?:stabile )?(?:version|preise?|nachrichten|kurse?|stand|wetter|release)",
        r"wechselkurs|aktienkurs|börsenkurs|wettervorhersage|das wetter",
    ),
    "fr": (
        r"derni[eè]res? (?:version|nouvelles?|actualités?|infos?)",
        r"(?:version|prix|cours|taux) actuel(?:le)?s?|taux de change|cours de l['’]action|la météo",
    ),
    "es": (
        r"últim[ao]s? (?:versi[oó]n|noticias)|(?:versi[oó]n|precio) actual",
        r"tipo de cambio|pronóstico del tiempo",
    ),
    "pt": (r"últim[ao]s? (?:versão|notícias)|(?:versão|preço) atual|taxa de câmbio|previsão do tempo",),
    "it": (r"ultim[aeo] (?:versione|notizie)|(?:versione|prezzo) attuale|tasso di cambio|previsioni del tempo",),
    "nl": (r"(?:laatste|nieuwste|huidige) (?:versie|nieuws|prijs)|wisselkoers|weersverwachting",),
    "pl": (r"(?:najnowsz|aktualn)\w* (?:wersj|wiadomo|cen)\w*|kurs walut|prognoza pogody",),
    "ru": (
        r"(?:последн|текущ|актуальн|свеж)\w* (?:верси|новост|цен|курс|событи)\w*",
        r"курс (?:доллара|евро|валют)\w*|прогноз погоды",
    ),
}

# Enough in a question only: in a task these mostly speak of data.
ASKED: Mapping[str, tuple[str, ...]] = {
    "en": (
        r"today|tonight|yesterday|tomorrow|right now|currently|nowadays|latest|newest|most recent(?:ly)?",
        r"up[- ]to[- ]date|this (?:week|month|year|season)|last (?:week|month)",
        r"how much (?:is|are|does|do)|prices? of|cost of",
        r"who (?:is|are) (?:the )?(?:ceo|president|prime minister|chancellor|king|queen|pope)",
        r"when (?:is|does|will) (?:the )?next|still (?:supported|alive|maintained)|end[- ]of[- ]life",
        r"just (?:released|announced)",
    ),
    "de": (
        r"heute|gestern|morgen|derzeit|zurzeit|momentan|diese (?:woche|saison)|dieses jahr",
        r"wie viel kostet|was kostet|neuest\w*|aktuell\w*",
    ),
    "fr": (r"aujourd['’]hui|actuellement|en ce moment|cette (?:semaine|année)|combien co[uû]te",),
    "es": (r"hoy|ayer|actualmente|ahora mismo|este (?:año|mes)|esta semana|cu[aá]nto cuesta",),
    "pt": (r"hoje|ontem|amanhã|atualmente|quanto custa",),
    "it": (r"oggi|ieri|attualmente|quanto costa",),
    "nl": (r"vandaag|gisteren|momenteel|hoeveel kost",),
    "pl": (r"dzisiaj|dziś|wczoraj|obecnie|ile kosztuje",),
    "ru": (r"сегодня|вчера|завтра|сейчас|в этом году|сколько стоит",),
}

# Scripts without spaces between words: found anywhere in a sentence. Wide characters fill a line soon, so two rows.
ALWAYS_ANYWHERE: Mapping[str, str] = {
    "zh": r"最新的?(?:版本|消息|新闻|新聞|价格|價格)|目前的?(?:价格|版本)|现在的?价格",
    "zh, things": r"汇率|匯率|股价|股價|今天的?(?:天气|天氣|新闻|新聞)",
    "ja": r"最新の?(?:版|バージョン|ニュース|情報)|今日の(?:天気|ニュース|日付)",
    "ja, things": r"現在の(?:価格|バージョン)|為替レート|株価",
    "ko": r"최신 ?(?:버전|뉴스|소식)|현재 ?(?:가격|버전|환율)|오늘의? ?(?:날씨|뉴스|날짜)|환율|주가",
}
ASKED_ANYWHERE: Mapping[str, str] = {
    "zh": r"今天|今年|现在|現在|目前|最新|最近|多少钱|多少錢",
    "ja": r"今日|今年|現在|最新|最近|いくら",
    "ko": r"오늘|올해|지금|최근|얼마",
}
# A question in these scripts often ends without a mark.
ASKING_ANYWHERE = r"(?:吗|嗎|呢|か|까|요)[。.]?\s*$|什么|什麼|多少|いつ|何|誰|무엇|얼마"
