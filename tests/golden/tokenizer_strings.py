"""The texts that the tokenizers are compared on: all scripts, odd spaces, odd bytes, code, added tokens."""

import re

SENTENCES = r'''
Hello, world!
The quick brown fox jumps over the lazy dog.
Once upon a time, in a small village by the sea, there lived an old fisherman and his wife.
It's what we'd've wanted; they're sure you'll say I'm wrong, but she's right and he'd agree.
IT'S WHAT WE'D'VE WANTED; THEY'RE SURE YOU'LL SAY I'M WRONG.
'Tis the season. 'twas 'S 'T 'RE 'VE 'M 'LL 'D 'x 'ſ 'K
don’t can’t won’t ‘single’ “double” «guillemets» „low“ ‚low‘
Größe, Übermut, Straße, ÄÖÜ, ẞ, naïve façade, Ærøskøbing, Łódź, İstanbul ıI iİ
El niño comió jamón; ¿qué pasó? ¡Nada! À bientôt, ça va où? Œuvre.
Príliš žluťoučký kůň úpěl ďábelské ódy. Zażółć gęślą jaźń.
Съешь же ещё этих мягких французских булок, да выпей чаю.
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΟΔΥΣΣΕΥΣ ὀδυσσεύς ᾳ ῷ
שלום עולם! בְּרֵאשִׁית בָּרָא אֱלֹהִים
مرحبا بالعالم! السَّلَامُ عَلَيْكُمْ ١٢٣٤٥٦٧٨٩٠ ۱۲۳۴
नमस्ते दुनिया! क्षत्रिय ज्ञान १२३४५ हिन्दी में लिखा हुआ पाठ।
வணக்கம் உலகம் తెలుగు ಕನ್ನಡ മലയാളം සිංහල বাংলা ગુજરાતી ਪੰਜਾਬੀ ଓଡ଼ିଆ
สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง ๑๒๓ ກຂຄ ລາວ မြန်မာဘာသာ ភាសាខ្មែរ བོད་ཡིག
你好，世界！我们今天去北京。龥龦鿿㐀一二三四五六七八九十
こんにちは世界。カタカナとひらがな、漢字を混ぜて書く。ゟ゠ヿーｱｲｳ゛゜
안녕하세요 세계! 한국어 텍스트입니다. ㄱㄴㄷ 가각갂 \ud7a3\ud7a4 힣
𠀀𠮷𪜀𫝀 豈更 ⼀⼁ 𛀀𛀁 〱〲〳 ㍿㊙ ㋿
Ꭳꮿ ᐁᐂ ᚠᚡᚢ ⴰⵣⵓⵍ አማርኛ ሰላም Հայերեն ქართული ᲐᲑᲒ Ⰰⰰ 𐐀𐐨 𐍈 𒀀 𓀀
ℂ ℍ ℕ ℚ ℝ ℤ K Å Ω ﬁ ﬂ ﬀ ﬆ Ⅷ ⅷ ½ ¼ ¾ ⅓ ² ³ ¹ ⁰ ₁ ① ⑳ ⒈ 🄀 Ⓐ ⓐ 🅐
𝐇𝐞𝐥𝐥𝐨 𝕎𝕠𝕣𝕝𝕕 𝒜𝓈 𝔉𝔯𝔞𝔨𝔱𝔲𝔯 𝟎𝟏𝟐𝟛𝟜 ∀x∈ℝ: ⌈x⌉ = −⌊−x⌋ ∑∏∫√∞≠≤≥±×÷
😀😃😄 👍🏽👍🏿 👨‍👩‍👧‍👦 👩🏻‍💻 🏳️‍🌈 🇩🇪🇫🇷🇯🇵 ❤️ ☺︎ 1️⃣ #️⃣ 🫠🫡🫨 🧑‍🚀
e\u0301 é a\u0308\u0304 ǟ q\u0307\u0323 q\u0323\u0307 \u0301 \u0300\u0301 Z\u0351\u036b\u0343a\u0321 \u1e0b\u0323 \u0344
\u1100\u1161\u11a8 각 \uac00\u11a8 \u0958 क\u093c \u2126 \u212b \uf900 \ufb1d \u2adc \u1d15e \u0f77
def fib(n: int) -> int:\n    """Return n."""\n    return n if n < 2 else fib(n-1) + fib(n-2)\n
#include <stdio.h>\nint main(void) {\n\tprintf("%d\\n", 1<<3);\n\treturn 0;\n}\n
for (let i = 0; i < arr.length; ++i) { console.log(`${i}: ${arr[i]}`); } // done
SELECT * FROM users WHERE name='O\\'Brien' AND age>=21; -- comment
{"key": [1, 2.5e-10, null, true], "nested": {"a": "b\\u00e9"}}
<html><body class="x">&nbsp;&lt;p&gt;</body></html>
https://example.com/path?q=1&x=a%20b#frag www.test.co.uk user.name+tag@mail.example.org 192.168.0.1:8080
C:\\Users\\me\\file.txt /usr/local/bin/../lib ~/.config $HOME ${VAR} `cmd` $(x) !! && || >> << -> => :: ... --- ___
0 1 12 123 1234 12345 123456 1234567 12345678901234567890 3.14159 1,234,567.89 0x1F 1e10 2024-01-31 12:34:56
١٢٣٤٥ १२३ 一二三 Ⅻ ½½½ 1½ ²³ 1²3 ৪৫৬৭ ７８９ 𝟙𝟚𝟛𝟜
a1b2c3 abc123def456 v1.2.3-rc4 x86_64 utf8mb4 H2O CO₂ E=mc²
CamelCaseIdentifier snake_case_name SCREAMING_CASE kebab-case HTTPServer2XML iPhone eBay McDonald
hello   world  with    many     spaces      here
 leading space
trailing space 
  two leading
trailing two  
\ttab\tseparated\t\tvalues\t
line one\nline two\r\nline three\rline four\n\nparagraph\n\n\n\nend
  \n  \n\n   x\n \n\t\n y  \r\n  \r\n
a \n b  \n  c\n   \n d
!!! ??? ... ,,, ;;; ::: *** ### @@@ $$$ %%% ^^^ &&& ((( ))) [[[ ]]] {{{ }}} <<< >>> ~~~ ```
!a "b #c $d %e &f 'g (h )i *j +k ,l -m .n /o :p ;q <r =s >t ?u @v [w \\x ]y ^z _a `b {c |d }e ~f
(hello) [world] {foo} <bar> "baz" 'qux' `code` *bold* _it_ ~~del~~ ==hl==
¡¢£¤¥¦§¨©ª«¬\u00ad®¯°±²³´µ¶·¸¹º»¼½¾¿ ×÷ ‐‑‒–—―‖‗ †‡•…‰′″ ‹›※‼‽⁂ ⁇⁈
€₿₹₽₩ ←↑→↓↔ ⇒⇔ ■□▲△●○ ★☆ ♠♥♦♣ ♩♪♫ ✓✗ ⟨⟩ ⦃⦄ 「」『』【】〈〉《》〔〕 ！？（）［］｛｝，．：；
ａｂｃＡＢＣ１２３ ｶﾞｷﾞ ﾊﾟ ￥￦
foo\u00a0bar\u00a0 \u00a0baz \u2000\u2001\u2002 x\u2003y\u3000z\u3000\u3000 \u205f\u202f\u1680 \u180e \u200b zero\u200bwidth\u200c\u200d\u2060\ufeff
line\u2028sep\u2029para\u0085nel\x0b\x0cvt ff \x1c\x1d\x1e\x1f us
'''.strip("\n").split("\n")

LONG_RUNS = [" " * n for n in (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, 257, 1000)]
LONG_RUNS += ["\n" * n for n in (1, 2, 3, 5, 8, 17, 100)] + ["\t" * n for n in (1, 2, 3, 9, 64)]
LONG_RUNS += ["\r\n" * n for n in (1, 2, 7, 40)] + ["\r" * 5, "\u3000" * 9, "\u00a0" * 9]
LONG_RUNS += [c * n for c in "a0-é中" for n in (2, 9, 65, 300)]
LONG_RUNS += [" " * n + "x" for n in (1, 2, 3, 8, 40)] + ["x" + " " * n for n in (1, 2, 3, 8, 40)]
LONG_RUNS += ["x" + " " * n + "\n" + " " * n + "y" for n in (0, 1, 2, 5, 30)]
LONG_RUNS += [" " * n + "\n" for n in (1, 2, 9)] + ["\n" + " " * n for n in (1, 2, 9)]
LONG_RUNS += ["1" * n for n in (1, 2, 3, 4, 5, 6, 7, 50)] + [" " + "1" * n for n in (1, 2, 3, 4, 7)]
LONG_RUNS += ["ab " * 60, "\n \n" * 20, " \t" * 20, "😀" * 40, "👍🏽" * 20, "e\u0301" * 40, "가" * 50, "_-" * 50]

CONTROLS = ["", "\0", "a\0b", "\0\0\0", " \0 "] + [chr(c) for c in range(1, 32)]
CONTROLS += ["\x7f", "\x80\x81\x9f", "\x1b[31mred\x1b[0m", "\u0600\u061c", "\u200e\u200f\u202a\u202e", "\u2066\u2069"]
CONTROLS += ["\ufffd", "\ufffe\uffff", "\ufdd0\ufdef", "\ue000\uf8ff", "\U000f0000\U0010ffff", "\U0001fffe", "\ud7ff\ue000"]
CONTROLS += ["\u0378", "\u1c80\u1c8a", "\U00011f00\U00011f02", "\U0001e4d0\U0001e4f0", "\U000323af\U0002ebf0", "\ua7cb\ua7da", "\U00010d40\U00010d4a", "\u2427\u2429", "\U0001fae9\U0001fadf"]
CONTROLS += ["ſt 'ſ 'K K's ß'S", "ǅ ǈ ᾈ", "\U000e0041\U000e007f", "\ufe0f\ufe0e", "\u034f", "a\u20dd\u20e3", "\u3099か\u3099", "\u1039\u1000"]

SPACES_BETWEEN = ["%s".join(("left", "right")) % c for c in (
    "\u00a0", "\u1680", "\u2000", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u180e",
    "\u200b", "\x85", "\x0b", "\x0c", "\x1c", "\ufeff", " \u00a0", "\u00a0 ", "\u3000\n", "\n\u3000")]

CONTRACTIONS = ["%s%s%s" % (a, b, c) for a in ("it", "IT ", "\n") for b in
                ("'s", "'S", "'t", "'re", "'RE", "'vE", "'m", "'ll", "'Ll", "'d", "'x", "’s") for c in ("", "n")]

PLAIN_ADDED = ["<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>",
               "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "<s>", "</s>", "<unk>", "[INST]",
               "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<left>", "<right>",
               "<both>", "<word>", "<Norm>", "|||IP_ADDRESS|||", "<0x41>", "<0x0A>", "<0xZZ>"]
ADDED = list(PLAIN_ADDED)
ADDED += ["a%sb" % t for t in PLAIN_ADDED] + [" %s " % t for t in PLAIN_ADDED] + [t + t for t in PLAIN_ADDED]
ADDED += ["  \n %s \t x%sy %s" % (t, t, t) for t in PLAIN_ADDED]
ADDED += ["<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n", "<|im_start", "|im_end|>", "<|<|im_end|>|>",
          "<s>[INST] Hello [/INST]  Hi </s>", "<s><s></s></s>", " <s> </s> ", "<word>s <word> x<word> <word>é <word>_",
          "<left><right>", "<left>  <right>  <both>  <both> ", "é<word>ß", "<norm> <NORM> <Norm>e\u0301", "<both>\u3000\u00a0<both>",
          "<｜begin▁of▁sentence｜>You are helpful.<｜User｜>Hi<｜Assistant｜><think>\n", "▁", "▁▁a ▁b", "a▁b", "Ġ", "ĠĊ", "Ċ"]

ESCAPE = re.compile(r"\\u([0-9a-f]{4})|\\x([0-9a-f]{2})|\\([ntr])")


def unescape(match):
    if match.group(3):
        return {"n": "\n", "t": "\t", "r": "\r"}[match.group(3)]
    return chr(int(match.group(1) or match.group(2), 16))


def strings():
    """All texts, each once, in a fixed order."""
    unescaped = [ESCAPE.sub(unescape, s) for s in SENTENCES]
    words = [w for s in SENTENCES[:30] for w in s.split(" ")[:2]]
    everything = unescaped + SENTENCES + LONG_RUNS + CONTROLS + SPACES_BETWEEN + CONTRACTIONS + ADDED + words
    everything.append("\n".join(SENTENCES[:12]))
    kept = []
    for text in everything:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # Python's literals can hold lone surrogates, UTF-8 cannot
            continue
        if text not in kept:
            kept.append(text)
    return kept
