"""The list of languages against itself, the benchmarks' own codes, and the facts of another list where that is at hand."""

import csv

import pytest

from xlt import languages
from xlt.errors import ConfigError

FLORES_200 = """
ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn als_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng
ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn
bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn
eus_Latn ewe_Latn fao_Latn fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gaz_Latn gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn hau_Latn
heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda
kas_Arab kas_Deva kat_Geor kaz_Cyrl kbp_Latn kea_Latn khk_Cyrl khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kmr_Latn knc_Arab knc_Latn kon_Latn kor_Hang
lao_Laoo lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn luo_Latn lus_Latn lvs_Latn mag_Deva mai_Deva mal_Mlym mar_Deva
min_Arab min_Latn mkd_Cyrl mlt_Latn mni_Beng mos_Latn mri_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva nqo_Nkoo nso_Latn nus_Latn nya_Latn oci_Latn
ory_Orya pag_Latn pan_Guru pap_Latn pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn prs_Arab quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Olck
scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn
szl_Latn tam_Taml taq_Latn taq_Tfng tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tpi_Latn tsn_Latn tso_Latn tuk_Latn tum_Latn tur_Latn twi_Latn
tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant zho_Hans zho_Hant zsm_Latn
zul_Latn
"""

# codes as the data sets write them, and the one language that each means
BENCHMARKS = {
    "XTREME": "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi yo zh",
    "XTREME-R": "az gu ht lt pa pl qu ro uk wo",
    "XLM-R": "am as be br bs ca cs cy da eo fy ga gd gl ha hr hy is km kn ku ky la lo lv mg mk mn ne no om or ps sa sd si sk sl so sq sr su sv ug uz xh yi",
    "MUSE": "af ar bg bn bs ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv mk ms nl no pl pt ro ru sk sl sq sv ta th tl tr uk vi zh",
    "AfriSenti": "amh arq ary hau ibo kin orm pcm por swa tir tso twi yor",
    "NusaX": "ace ban bbc bjn bug eng ind jav mad min nij sun",
    "xSID": "ar da de de-st de-ba en gsw id it ja kk nap nl sr tr zh",
    "Common Voice 1": "ab ast az ba be ca ckb cnh cv dv fy-NL ga-IE hsb hy-AM ia ig kab",
    "Common Voice 2": "kmr lg lij mdf mhr mrj myv nan-tw nb-NO ne-NP nn-NO pa-IN rm-sursilv rm-vallader sah sat sc skr sv-SE tig tok tt tyv udm vot yue zgh zh-CN zh-HK zh-TW zza",
    "UD": "akk aii aqz bej bxr cop cu fo fro ga got grc gun gv hbo hit hyw koi kpv krl lzh mdf myu myv olo orv qpm sms urb wbp yrl",
    "mBART": "ar_AR cs_CZ en_XX et_EE gl_ES he_IL my_MM pt_XX si_LK sl_SI sv_SE xh_ZA zh_CN",
    "CC-100": "bn_rom hi_rom my_zaw te_rom zh-Hans zh-Hant",
    "Tatoeba in LASER": "ara cbk cmn csb dtp ell kzj max mon msa nov nds pes swh tzl wuu zsm",
    "WikiANN": "bat-smg be-x-old cbk-zam diq eml ext fiu-vro map-bms mwl mzn pdc simple vep zh-classical zh-min-nan zh-yue",
}


def test_every_line_has_its_own_codes_and_known_values():
    table = languages._table()
    assert len(table) > 230
    owners = {}
    for language in table.values():
        for code in {language.code, *language.aliases} | ({language.iso639_3} if language.code != "de_st" else set()):
            assert owners.setdefault(code.lower(), language.code) == language.code, f"{code} belongs to two languages"
        assert len(language.iso639_3) == 3 and language.iso639_3.islower()
        assert len(language.script) == 4 and language.script.istitle()
        assert language.name and language.family
    assert list(table) == sorted(table)


def test_every_alias_and_iso_code_leads_home():
    for language in languages._table().values():
        for code in (language.code, *language.aliases):
            for spelling in (code, code.upper(), code.replace("_", "-"), f" {code} "):
                assert languages.canonical(spelling) == language.code
        assert languages.canonical(language.iso639_3) in (language.code, "bar")


@pytest.mark.parametrize("code", FLORES_200.split())
def test_flores_codes_come_back(code):
    assert languages.flores(code) == code
    assert languages.script(code) == code[-4:]


@pytest.mark.parametrize("data_set", BENCHMARKS)
def test_codes_of_the_benchmarks_are_known(data_set):
    assert [code for code in BENCHMARKS[data_set].split() if not languages.known(code)] == []


@pytest.mark.parametrize(
    ("alias", "code"),
    [
        *[
            ("zho", "zh"),
            ("cmn", "zh"),
            ("zh-CN", "zh"),
            ("zh_TW", "zh"),
            ("zho_Hant", "zh"),
            ("zh-Hant-HK", "zh"),
            ("chi", "zh"),
            ("zh-yue", "yue"),
            ("zh_classical", "lzh"),
        ],
        *[
            ("iw", "he"),
            ("in", "id"),
            ("ji", "yi"),
            ("jw", "jv"),
            ("mo", "ro"),
            ("scr", "hr"),
            ("ger", "de"),
            ("per", "fa"),
            ("fil", "tl"),
            ("als", "sq"),
            ("gaz", "om"),
        ],
        *[
            ("nob", "nb"),
            ("nb-NO", "nb"),
            ("nno", "nn"),
            ("nor", "no"),
            ("no", "no"),
            ("NO", "no"),
            ("nan", "nan"),
            (float("nan"), "nan"),
            ("de-st", "de_st"),
            ("de_ST", "de_st"),
        ],
        *[
            ("pt-br", "pt"),
            ("sr-Latn", "sr"),
            ("es-419", "es"),
            ("en-us", "en"),
            ("bar", "bar"),
            ("arb", "ar"),
            ("pes", "fa"),
            ("swh", "sw"),
            ("ekk", "et"),
        ],
    ],
)
def test_aliases(alias, code):
    assert languages.canonical(alias) == code
    assert languages.known(alias)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("eng_Latin", "did you mean eng_Latn?"),
        ("german", "did you mean de?"),
        ("deuu", "did you mean deu?"),
        ("qqqqqq", "use ISO 639-1 or 639-3"),
        ("en-de", "did you mean"),  # a pair is no language
        ("eng_Test", "did you mean"),
        ("", "use ISO 639-1 or 639-3"),
        (None, "is not a known language code"),
    ],
)
def test_unknown_codes_are_refused_with_a_hint(code, hint):
    assert not languages.known(code)
    with pytest.raises(ConfigError, match="is not a known language code") as caught:
        languages.canonical(code)
    assert hint in str(caught.value)


@pytest.mark.parametrize("value", [False, True, "False", "True"])
def test_what_yaml_makes_of_norwegian(value):
    with pytest.raises(ConfigError, match='YAML reads a bare no as False: quote it, "no"'):
        languages.canonical(value)
    assert not languages.known(value)


def test_direction():
    right_to_left = [
        "ar",
        "he",
        "fa",
        "ur",
        "ug",
        "ckb",
        "yi",
        "dv",
        "ps",
        "sd",
        "arz",
        "ary",
        "azb",
        "prs",
        "nqo",
        "syr",
        "knc_Arab",
        "iw",
    ]
    left_to_right = ["en", "zh", "ku", "kas_Deva", "az", "ja", "hi", "am", "mt", "arb_Latn"]
    assert {languages.info(code).direction for code in right_to_left} == {"rtl"}
    assert {languages.info(code).direction for code in left_to_right} == {"ltr"}


def test_scripts_and_families():
    scripts = {
        "zh": "Hans",
        "zh-TW": "Hant",
        "zh_hk": "Hant",
        "zh-Hans-HK": "Hans",
        "zho_Hant": "Hant",
        "sr": "Cyrl",
        "sr-Latn": "Latn",
        "hi_rom": "Latn",
        "ja": "Jpan",
        "ko": "Hang",
    }
    assert {code: languages.script(code) for code in scripts} == scripts
    assert [languages.family(c) for c in ("fi", "eu", "yo", "deu_Latn", "nan")] == [
        "Uralic",
        "Basque",
        "Niger-Congo",
        "Indo-European",
        "Sino-Tibetan",
    ]
    assert [languages.flores(c) for c in ("no", "sq", "zh", "sw", "nan", "de_st")] == [
        "nob_Latn",
        "als_Latn",
        "zho_Hans",
        "swh_Latn",
        "nan_Latn",
        "bar_Latn",
    ]


def test_pairs():
    pairs = [
        "en-de",
        "en-zh",
        "zh-en",
        "en-zh-CN",
        "zh-CN-en",
        "pt-BR-en",
        "en-pt-BR",
        "en-de_st",
        "de-st-en",
        "eng_Latn-deu_Latn",
        "zh-min-nan-en",
        "no-nan",
        "zh-TW-en",
        "EN-DE",
    ]
    expected = [
        ("en", "de"),
        ("en", "zh"),
        ("zh", "en"),
        ("en", "zh-CN"),
        ("zh-CN", "en"),
        ("pt-BR", "en"),
        ("en", "pt-BR"),
        ("en", "de_st"),
        ("de-st", "en"),
    ]
    expected += [("eng_Latn", "deu_Latn"), ("zh-min-nan", "en"), ("no", "nan"), ("zh-TW", "en"), ("EN", "DE")]
    assert [languages.pair(code) for code in pairs] == expected
    for wrong in ("en", "en-", "en_de", "en-xx-yy", ""):
        with pytest.raises(ConfigError, match="is not a pair of language codes; write it as en-de"):
            languages.pair(wrong)


# ---- against lists that are not ours, where they are at hand

FAMILY_NAMES = {  # theirs (WALS) -> ours (Glottolog's or the usual newer name)
    "Altaic": {"Turkic", "Mongolic"},
    "Austro-Asiatic": {"Austroasiatic"},
    "Eastern Sudanic": {"Nilo-Saharan"},
    "Saharan": {"Nilo-Saharan"},
    "Tai-Kadai": {"Kra-Dai"},
    "Japanese": {"Japonic"},
    "Korean": {"Koreanic"},
    "(constructed)": {"Constructed"},
    "(creole)": {"Creole"},
    "other": {"Creole"},
}


def test_agrees_with_an_independent_list(shared_data):
    with open(shared_data / "langinfo" / "languages.tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) > 200
    for row in rows:
        ours = languages.info(row["code"])
        assert ours.code == row["code"]
        assert languages.canonical(row["iso639_3"]) == row["code"], row["iso639_3"]
        assert not row["scripts"] or ours.script in row["scripts"].split(","), (row, ours.script)
        assert ours.family in FAMILY_NAMES.get(row["family"], {row["family"]}), (row, ours.family)


def test_every_folder_of_the_real_data_is_a_language_or_a_pair(shared_data):
    folders = [p for p in shared_data.glob("*/*") if p.is_dir()]
    assert len(folders) > 300
    for folder in folders:
        codes = languages.pair(folder.name) if "-" in folder.name else (folder.name,)
        assert [languages.canonical(code) for code in codes] == list(codes), folder


def test_a_pair_has_the_script_and_family_of_both():
    assert (languages.script("en-ru"), languages.script("en-de"), languages.script("zh_TW")) == (
        "Latn-Cyrl",
        "Latn",
        "Hant",
    )
    assert languages.family("en-sw") == f"{languages.family('en')}-{languages.family('sw')}"
    assert languages.family("en-de") == languages.family("de")
    with pytest.raises(ConfigError, match="'en-notalanguage' is not a pair of language codes"):
        languages.script("en-notalanguage")
