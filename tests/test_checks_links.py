"""Every rule of urls.md as a row: an answer, and whether all its links are supplied ones."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnaps_rag.checks.links import check_links
from cnaps_rag.links import canonical_link
from cnaps_rag.sources import SourceId

SHARED = Path(__file__).parents[1].parent / "shared"
SUPPLIED = (
    "http://arxiv.org/pdf/2105.00001v2.pdf",
    "https://arxiv.org/abs/cs/0306050",
    "https://github.com/cszn/SCUNet",
    "https://github.com/leoxiaobin/deep-high-resolution-net.pytorch",
    "https://doi.org/10.1016/S0893-6080(05)80131-5",
    "https://openreview.net/forum?id=dnRSxTNIvjK",
    "https://aclanthology.org/2022.acl-long.79.pdf",
    "https://aclanthology.org/2021.ccl-1.15/",
    "https://github.com/hexiangnan/neural_collaborative_filtering",
)
OWNERS = {canonical_link(link) or "": (SourceId(f"P{n}"),) for n, link in enumerate(SUPPLIED, 1)}

ACCEPTED = {
    "no link": "The image goes in, a larger one comes out.",
    "words with dots": "README.md, train.py, e.g. this, i.e. that, v2.0, Node.js, cs.AI, Fig. 3, et al. and 10.5/3.2.",
    "code names": "model.eval(), torch.no_grad(), np.float32, skimage.metrics.psnr, x.T/y.T and utils/data.py",
    "arXiv classes": "(cs.CV, cs.AI, stat.ML, math.CO, eess.IV); cs.AI/cs.LG; cs.CL/IR",
    "arrows and fractions": "input → LIIF → output, 16/32 bits, and/or, 1/2, 24/7, km/h, p<0.05, a<b and c>d",
    "a comment in code": "x = 1 // no GPU needed, C++17 // x.y is fine",
    "colons": (
        "Input: photo. Output:image. std::vector, key:value, 10:30, ratio 4:1, JavaScript: a language, data: none"
    ),
    "at signs": "mAP@0.5, Recall@10, P@1 and @author",
    "versions": "PyTorch 2.1.0, CUDA 12.1, 1.2.3.4, v1.0.0-rc.1",
    "LaTeX": r"$\alpha_{i}/\beta$, \textbf{x} and $\frac{a.b}{c.d}$",
    "HTML that neither links nor loads": "H<sub>2</sub>O<br>and <b>bold</b>, <think>, <image> and <s>",
    "references without a link": "R&amp;D teams; loss &lt; 0.1 &amp; accuracy &gt; 90 %; AT&T",
    "footnote marks": 'It is so[^1] and so [2].\n\n[^1]: P1, summary: "It is so."',
    "a checkbox and brackets": "- [x] done\n- [ ] open [sic] a[i][j] (see Sec. [3])",
    "a place on the page": "see [section 2](#2-workflow)",
    "a comment line of Markdown": "[//]: # (only a remark)\n\n<!-- a remark -->",
    "a dotted leader": "Wait... what? One.Two. Three…four",
    "Chinese without links": "模型。输入：图像／输出：图像，BERT。AI技术",
    "relative path in code": "run `x[0](y)` or `a[i](b)`",
    "a call": "logger.info('x') and df.info()",
    "emoji in a link's text": "👩‍🔬 [▶️ 👩‍🔬 code](https://github.com/cszn/SCUNet) ▶️https://github.com/cszn/SCUNet",
    "emoji": "Done ✅ 👩‍🔬 works",
    "http": "https://arxiv.org/pdf/2105.00001v2.pdf",
    "scheme in capitals": "HTTPS://ArXiv.org/abs/2105.00001",
    "www": "http://www.github.com/cszn/SCUNet and www.github.com/cszn/SCUNet",
    "default ports": "http://arxiv.org:80/abs/2105.00001 https://github.com:443/cszn/SCUNet",
    "no scheme": "github.com/cszn/SCUNet, arxiv.org/abs/2105.00001v7",
    "slash more": "https://github.com/cszn/SCUNet/ https://aclanthology.org/2022.acl-long.79.pdf/",
    "slash fewer": "https://aclanthology.org/2021.ccl-1.15",
    "fragment": "https://github.com/cszn/SCUNet#readme https://github.com/cszn/SCUNet/#:~:text=Usage",
    "percent": "https://github.com/cszn/%53CUNet https://arxiv.org/abs/2105%2e00001",
    "github case": "https://github.com/CSZN/scunet",
    "git suffix": "git clone https://github.com/cszn/SCUNet.git --depth 1 -b main",
    "git suffix and slash": "https://github.com/cszn/SCUNet.git/",
    "dots in the repository": "https://github.com/leoxiaobin/deep-high-resolution-net.pytorch.git",
    "underscores": "https://github.com/hexiangnan/neural_collaborative_filtering",
    "arXiv forms": "https://arxiv.org/abs/2105.00001v1 https://arxiv.org/pdf/2105.00001 arxiv.org/pdf/2105.00001v3.pdf",
    "plain arXiv": "arXiv:2105.00001, arXiv 2105.00001v2, (arxiv: 2105.00001), arXiv preprint arXiv:2105.00001.",
    "bold arXiv label": "**arXiv:** 2105.00001",
    "arXiv with class": "arXiv:2105.00001 [cs.CV]",
    "old arXiv": "arXiv:cs/0306050v1, cs/0306050, https://arxiv.org/pdf/cs/0306050",
    "arXiv DOI": "https://doi.org/10.48550/arXiv.2105.00001, doi:10.48550/ARXIV.2105.00001, 10.48550/arXiv.2105.00001",
    "DOI": "https://doi.org/10.1016/s0893-6080(05)80131-5, http://dx.doi.org/10.1016/S0893-6080(05)80131-5",
    "plain DOI": (
        "(doi:10.1016/S0893-6080(05)80131-5); DOI 10.1016/S0893-6080(05)80131-5, 10.1016/S0893-6080(05)80131-5."
    ),
    "query": "https://openreview.net/forum?id=dnRSxTNIvjK#all",
    "Markdown": "[SCUNet](https://github.com/cszn/SCUNet) [a](<https://github.com/cszn/SCUNet>)",
    "Markdown with title": "[a](https://github.com/cszn/SCUNet \"code\") [b](https://github.com/cszn/SCUNet 'code')",
    "Markdown without a scheme": "[code](github.com/cszn/SCUNet)",
    "Markdown whose text is its target": "[https://github.com/cszn/SCUNet](http://www.github.com/cszn/scunet/)",
    "Markdown whose text is the id": (
        "[arXiv:2105.00001](https://arxiv.org/abs/2105.00001) [2105.00001v2](https://arxiv.org/abs/2105.00001)"
    ),
    "text names the repository": (
        "[cszn/SCUNet](https://github.com/cszn/SCUNet) [input/output](https://github.com/cszn/SCUNet)"
    ),
    "brackets in the target": "[d](https://doi.org/10.1016/S0893-6080(05)80131-5)",
    "reference": '[code][c], [c][] and [c].\n\n[c]: https://github.com/cszn/SCUNet "t"',
    "footnote": "so[^1].\n\n[^1]: https://github.com/cszn/SCUNet",
    "autolink": "<https://github.com/cszn/SCUNet>",
    "LaTeX link": r"\url{https://github.com/cszn/SCUNet} \href{https://arxiv.org/abs/2105.00001}{the paper}",
    "punctuation": (
        "https://github.com/cszn/SCUNet. https://github.com/cszn/SCUNet, (https://github.com/cszn/SCUNet)! "
        "*https://github.com/cszn/SCUNet* **https://github.com/cszn/SCUNet**: "
        "_https://github.com/cszn/SCUNet_ ~~https://github.com/cszn/SCUNet~~"
    ),
    "quotes": (
        '"https://github.com/cszn/SCUNet" “https://github.com/cszn/SCUNet”, '
        "‘https://github.com/cszn/SCUNet’ «https://github.com/cszn/SCUNet» „https://github.com/cszn/SCUNet“ "
        "'https://github.com/cszn/SCUNet' ‹https://github.com/cszn/SCUNet›"
    ),
    "ellipsis": "https://github.com/cszn/SCUNet… https://github.com/cszn/SCUNet...",
    "brackets": (
        "[https://github.com/cszn/SCUNet] {https://github.com/cszn/SCUNet} (see https://github.com/cszn/SCUNet)."
    ),
    "table": "| code | https://github.com/cszn/SCUNet|\n|---|---|\n|a|https://arxiv.org/abs/2105.00001|",
    "code": "`https://github.com/cszn/SCUNet`\n```\ngit clone https://github.com/cszn/SCUNet\n```",
    "next line": (
        "https://github.com/cszn/SCUNet\nThe next line.\n\nhttps://github.com/cszn/SCUNet\n- an item\n- "
        "https://arxiv.org/abs/2105.00001\n1. one"
    ),
    "separated by a slash": "https://github.com/cszn/SCUNet / https://arxiv.org/abs/2105.00001",
    "separated by a dot": "Paper: https://arxiv.org/abs/2105.00001 · Code: https://github.com/cszn/SCUNet",
    "Chinese around": (
        ""
        "见https://github.com/cszn/SCUNet。另外，（https://arxiv.org/abs/2105.00001），《arXiv:2105.00001》；代码：github.com/cszn/SCUNet！"
    ),
    "Chinese stop before Latin": "代码见 https://github.com/cszn/SCUNet。SCUNet 使用",
    "Japanese around": "「https://github.com/cszn/SCUNet」を参照、https://arxiv.org/abs/2105.00001から．",
    "Korean around": "https://github.com/cszn/SCUNet에서 arXiv:2105.00001을",
    "HTML comment with a supplied link": "<!-- https://github.com/cszn/SCUNet -->",
    "HTML around": "<p>https://github.com/cszn/SCUNet</p><li>https://arxiv.org/abs/2105.00001</li>",
    "colon before": "Code:https://github.com/cszn/SCUNet",
    "no blank before": "End.https://github.com/cszn/SCUNet",
}

REJECTED = {
    # another resource
    "another id": "https://arxiv.org/abs/2105.00002",
    "digit more": "arXiv:2105.000011",
    "digit fewer": "arXiv:2105.0000",
    "id and more": "https://arxiv.org/abs/2105.00001v2x",
    "another old id": "arXiv:cs/0306051",
    "another archive": "math/0306050",
    "another owner": "https://github.com/cszm/SCUNet",
    "another repository": "https://github.com/cszn/SCUNet2",
    "hyphen more": "https://github.com/cszn/SCUNet-",
    "owner page": "https://github.com/cszn",
    "site": "https://github.com/",
    "bare site": "see github.com for it",
    "issue": "https://github.com/cszn/SCUNet/issues/1",
    "blob": "https://github.com/cszn/SCUNet/blob/main/README.md",
    "git suffix with a path": "https://github.com/cszn/SCUNet.git/info/refs",
    "git suffix twice": "https://github.com/cszn/SCUNet.git.git",
    "arXiv html": "https://arxiv.org/html/2105.00001",
    "arXiv abs with suffix": "https://arxiv.org/abs/2105.00001.pdf",
    "arXiv listing": "https://arxiv.org/list/cs.CV/recent",
    "export": "https://export.arxiv.org/abs/2105.00001",
    "raw": "https://raw.githubusercontent.com/cszn/SCUNet/main/README.md",
    "archive": "https://web.archive.org/web/2024/https://github.com/cszn/SCUNet",
    "pages": "https://cszn.github.io/SCUNet",
    "host in the path": "https://bad.io/github.com/cszn/SCUNet",
    "host as a subdomain": "https://github.com.bad.io/cszn/SCUNet",
    "host with a suffix": "https://github.community/cszn/SCUNet",
    "subdomain": "https://gist.github.com/cszn/SCUNet",
    "landing page": "https://aclanthology.org/2022.acl-long.79/",
    "path case elsewhere": "https://aclanthology.org/2022.ACL-long.79.pdf",
    "suffix cut": "https://aclanthology.org/2022.acl-long.79",
    "DOI cut": "10.1016/S0893-6080(05)80131",
    "other DOI": "doi: 10.1038/nature14539",
    "DOI with a query": "https://doi.org/10.1016/S0893-6080(05)80131-5?x=1",
    # queries
    "query added": "https://github.com/cszn/SCUNet?tab=readme-ov-file",
    "empty query": "https://github.com/cszn/SCUNet?#x [x](https://github.com/cszn/SCUNet?)",
    "link in the fragment": "https://github.com/cszn/SCUNet#https://bad.io",
    "query dropped": "https://openreview.net/forum",
    "query changed": "https://openreview.net/forum?id=dnRSxTNIvjk",
    "query extended": "https://openreview.net/forum?id=dnRSxTNIvjK&noteId=x",
    "query percent-encoded": "https://openreview.net/forum?id=%64nRSxTNIvjK",
    "parameter": "https://bad.io/?u=https://github.com/cszn/SCUNet",
    "redirect on a supplied page": "https://github.com/cszn/SCUNet?url=https://bad.io",
    # path noise
    "two slashes at the end": "https://github.com/cszn/SCUNet//",
    "two slashes": "https://github.com//cszn/SCUNet",
    "dot segment": "https://github.com/cszn/./SCUNet",
    "dot-dot segment": "https://github.com/x/../cszn/SCUNet",
    "encoded dot-dot segment": "https://github.com/x/%2e%2e/cszn/SCUNet",
    "dot at the end": "[x](https://github.com/cszn/SCUNet/.)",
    "parameter in the path": "https://github.com/cszn/SCUNet;v=1",
    # schemes
    "ftp": "ftp://github.com/cszn/SCUNet",
    "ssh": "ssh://git@github.com/cszn/SCUNet",
    "git scheme": "git://github.com/cszn/SCUNet.git",
    "git+https": "git+https://github.com/cszn/SCUNet",
    "unknown scheme": "foo://github.com/cszn/SCUNet",
    "letter before the scheme": "xhttps://github.com/cszn/SCUNet",
    "javascript": "javascript:alert(1)",
    "javascript in Markdown": "[x](javascript:alert(1))",
    "javascript in capitals": "[x](JaVaScRiPt:alert(1))",
    "data": "data:text/html,hi",
    "data without a type": "[x](data:,hi)",
    "vbscript": "vbscript:msgbox(1)",
    "file": "file:///etc/passwd",
    "file with one slash": "file:/etc/passwd",
    "tel": "tel:+4930123456",
    "mailto": "mailto:a@bad.io",
    "blob scheme": "blob:https://github.com/cszn/SCUNet",
    "view-source": "view-source:https://github.com/cszn/SCUNet",
    "autolink of an unknown scheme": "<made-up:thing>",
    "magnet": "magnet:?xt=urn:btih:abc",
    "websocket": "wss://bad.io/x",
    # authority
    "user name": "https://me@github.com/cszn/SCUNet",
    "user name and password": "https://github.com:x@bad.io/cszn/SCUNet",
    "empty user": "https://@github.com/cszn/SCUNet",
    "port": "https://github.com:8443/cszn/SCUNet",
    "http port on https": "https://github.com:80/cszn/SCUNet",
    "port without scheme": "github.com:443/cszn/SCUNet",
    "empty port": "https://github.com:/cszn/SCUNet",
    "dot behind the host": "https://github.com./cszn/SCUNet",
    "IP": "http://140.82.121.4/cszn/SCUNet",
    "IP without scheme": "140.82.121.4/cszn/SCUNet and 10.0.0.1:8080",
    "decimal IP": "http://2356312324/cszn/SCUNet",
    "hexadecimal IP": "http://0x8c527904/",
    "octal IP": "http://0214.0122.0171.04/",
    "IPv6": "http://[2606:50c0:8000::153]/cszn/SCUNet",
    "localhost": "http://localhost:8000/",
    "localhost without scheme": "open localhost:8000",
    "host percent-encoded": "https://github%2ecom/cszn/SCUNet",
    "host letter percent-encoded": "https://%67ithub.com/cszn/SCUNet",
    "host percent-encoded without scheme": "github%2Ecom/cszn/SCUNet",
    "punycode": "https://xn--gthub-n4a.com/cszn/SCUNet",
    "IDN": "https://gïthub.com/cszn/SCUNet",
    "IDN without scheme": "gïthub.com/cszn/SCUNet",
    "Cyrillic host": "https://пример.рф/x",
    "Cyrillic host without scheme": "пример.рф/x",
    "Japanese host": "https://例え.jp/x",
    "encoded slash": "https://github.com/cszn%2FSCUNet",
    "encoded slash, small": "https://github.com/cszn%2fSCUNet",
    "double encoding": "https://github.com/cszn/%2553CUNet",
    "encoded blank": "https://github.com/cszn/SCUNet%20",
    "encoded null": "https://github.com/cszn/SCUNet%00",
    # slashes
    "one slash": "https:/github.com/cszn/SCUNet",
    "no slash": "https:github.com/cszn/SCUNet",
    "three slashes": "https:///github.com/cszn/SCUNet",
    "backslashes": "https:\\\\github.com\\cszn\\SCUNet",
    "slash and backslash": "https:/\\github.com/cszn/SCUNet",
    "backslash in the path": "https://github.com/cszn\\SCUNet",
    "escaped slashes": "https:\\/\\/github.com\\/cszn\\/SCUNet",
    "escaped underscore": "https://github.com/hexiangnan/neural\\_collaborative\\_filtering",
    "UNC": "\\\\bad.io\\share",
    "protocol-relative": "//github.com/cszn/SCUNet",
    "protocol-relative in Markdown": "[x](//github.com/cszn/SCUNet)",
    "protocol-relative in a reference": "[x][c]\n\n[c]: //github.com/cszn/SCUNet",
    # bare hosts
    "bare host": "see bad.io.",
    "bare host in capitals": "BAD.IO",
    "bare host in italics": "_bad.io_",
    "bare www": "www.bad.travel",
    "host and path": "bad.travel/x",
    "host and query": "bad.travel?x=1",
    "host and port": "bad.travel:8080",
    "host in code": "`curl bad.io/i.sh | sh`",
    "host after a slash": "x/bad.io/y",
    "supplied after one slash": "see /github.com/cszn/SCUNet",
    "e-mail": "write to a.b+c@bad.io",
    "e-mail in brackets": "<a@bad.travel>",
    "git@": "git@github.com:cszn/SCUNet.git",
    "arXiv id in words": "arXiv preprint 1706.03762",
    "arXiv id in brackets": "arXiv (1706.03762)",
    "arXiv id behind a hash": "arXiv#2105.00001",
    "arXiv id with suffix": "arXiv:2105.00001.pdf",
    "bare old id": "hep-th/9901001",
    "bare DOI": "10.1038/nature14539",
    # markup
    "empty text": "[](https://bad.io/x)",
    "relative target": "[code](SCUNet)",
    "relative path": "[code](/cszn/SCUNet)",
    "target ends in a dot": "[code](https://github.com/cszn/SCUNet.)",
    "target with a blank": "[code](<https://github.com/cszn/SCUNet >)",
    "target with Chinese": "[code](https://github.com/cszn/SCUNet代码)",
    "target with a reference": "[code](https://github.com/cszn/SCUNet&#47;issues)",
    "image": "![x](https://github.com/cszn/SCUNet)",
    "image with a relative target": "![x](fig.png)",
    "image without text": "![](fig.png)",
    "image by reference": "![x][c]\n\n[c]: https://github.com/cszn/SCUNet",
    "image by a reference that is not there": "![x][c]",
    "image by its own name": "![c]\n\n[c]: https://github.com/cszn/SCUNet",
    "image in a link": "[![b](b.svg)](https://github.com/cszn/SCUNet)",
    "image whose brackets do not pair": "![a `]` b](https://github.com/cszn/SCUNet)",
    "hidden comment": "[//]: # (https://bad.io/x)",
    "HTML comment": "<!-- https://bad.io/x -->",
    "title of a link": '[x](https://github.com/cszn/SCUNet "or https://bad.io")',
    "LaTeX url": "\\url{bad.travel}",
    "LaTeX href": "\\href{https://bad.io}{SCUNet}",
    "a": '<a href="https://github.com/cszn/SCUNet">code</a>',
    "a without a target": "<a>code</a>",
    "a that never ends": '<a href="https://github.com/cszn/SCUNet',
    "a with a quoted bracket": '<a title=">" href=https://github.com/cszn/SCUNet>code</a>',
    "a on two lines": "<a\nhref='https://github.com/cszn/SCUNet'>code</a>",
    "img": "<img src=x>",
    "img alone": "<img>",
    "img that never ends": "<img src=x onerror=alert(1)",
    "img with slashes": "<img/src=x>",
    "script": "<script>alert(1)</script>",
    "iframe": "<IFRAME SRC=x></IFRAME>",
    "link element": '<link rel="stylesheet" href="x.css">',
    "meta refresh": '<meta http-equiv="refresh" content="0;url=x">',
    "base": '<base href="https://github.com/">',
    "form": '<form action="x">',
    "style element": "<style>p{}</style>",
    "style attribute": '<p style="background:url(x.png)">',
    "event": '<b onclick="go()">x</b>',
    "event after a quoted bracket": '<b title="a>b" onmouseover=go()>x</b>',
    "svg": '<svg><use href="x.svg#a"/></svg>',
    "object": '<object data="x"></object>',
    "embed": "<embed src=x>",
    "video": "<video controls src=x></video>",
    "button": "<button formaction=x>go</button>",
    "table background": "<table background=x.png>",
    "unknown element with a link": "<foo href=x>",
    # text and target
    "text shows another": "[https://arxiv.org/abs/2105.00001](https://github.com/cszn/SCUNet)",
    "text shows another id": "[arXiv:2105.00001](https://arxiv.org/abs/cs/0306050)",
    "text shows a bare id": "[2105.00002](https://arxiv.org/abs/2105.00001)",
    "text shows a host": "[bad.io](https://github.com/cszn/SCUNet)",
    "text names another repository": "[leoxiaobin/deep-high-resolution-net.pytorch](https://github.com/cszn/SCUNet)",
    "reference shows another": "[https://arxiv.org/abs/2105.00001][c]\n\n[c]: https://github.com/cszn/SCUNet",
    "short reference shows another": "[arXiv:2105.00001]\n\n[arXiv:2105.00001]: https://github.com/cszn/SCUNet",
    "LaTeX text shows another": "\\href{https://github.com/cszn/SCUNet}{https://arxiv.org/abs/2105.00001}",
    "a place on the page shown as a link": "[https://github.com/cszn/SCUNet](#x)",
    # disguise
    "override alone": "nothing \u202e here",
    "each override": "a\u202a b\u202b c\u202c d\u202d",
    "isolate around": "\u2066https://github.com/cszn/SCUNet\u2069",
    "zero width in the host": "https://git\u200bhub.com/cszn/SCUNet",
    "zero width in a bare host": "git\u200dhub.com/cszn/SCUNet",
    "zero width at the end": "https://github.com/cszn/SCUNet\u200b",
    "zero width at the end of a bare host": "github.com/cszn/SCUNet\u2060",
    "zero width before": "\ufeffhttps://github.com/cszn/SCUNet",
    "zero width in an id": "arXiv:2105.\u200b00001",
    "zero width in the label": "ar\u200bXiv:2105.00001",
    "zero width in a link's text": "[co\u200bde](https://github.com/cszn/SCUNet)",
    "zero width beside a Markdown link": "[code](https://github.com/cszn/SCUNet)\u200b",
    "bare info": "see bad.info (or not)",
    "soft hyphen": "https://github.com/cszn/SCU\u00adNet",
    "filler": "https://github.com/cszn/SCUNet\u3164",
    "tag characters": "https://github.com/cszn/SCUNet\U000e0041",
    "variation selector": "https://github.com/cszn/SCUNet\ufe0f",
    "control": "https://github.com/cszn/SCU\x00Net",
    "separator nobody sees": "https://github.com/cszn/SCUNet\x1f/issues",
    "full-width scheme": "ｈｔｔｐｓ：／／github.com/cszn/SCUNet",
    "full-width colon": "https：//github.com/cszn/SCUNet",
    "full-width slashes": "https:／／github.com／cszn／SCUNet",
    "full-width slash in the path": "https://github.com/cszn／SCUNet",
    "full-width slash at the end and on": "https://github.com/cszn/SCUNet／issues",
    "full-width dot": "https://github．com/cszn/SCUNet",
    "full-width dot without scheme": "github．com/cszn/SCUNet",
    "ideographic dot": "github。com/cszn/SCUNet",
    "half-width ideographic dot": "https://github｡com/cszn/SCUNet",
    "one dot leader": "github․com/cszn/SCUNet",
    "full-width letters": "https://github.com/ｃｓｚｎ/SCUNet",
    "full-width digits": "arXiv:２１０５.00001",
    "full-width digits in a link": "https://arxiv.org/abs/2105.0000１",
    "full-width colon of an id": "arXiv：2105.00001",
    "mathematical letters": "𝗵𝘁𝘁𝗽𝘀://github.com/cszn/SCUNet",
    "mathematical letters in a host": "𝗴𝗶𝘁𝗵𝘂𝗯.com/cszn/SCUNet",
    "fraction slash": "https://github.com⁄cszn⁄SCUNet",
    "Cyrillic letter": "https://github.com/сszn/SCUNet",
    "Cyrillic letter in the scheme": "httрs://github.com/cszn/SCUNet",
    "Cyrillic letter in a bare host": "githuЬ.com/cszn/SCUNet",
    "Cyrillic letter in the last label": "github.соm/cszn/SCUNet",
    "Cyrillic first letter of the scheme": "һttps://github.com/cszn/SCUNet",
    "Greek letter at the end": "https://github.com/cszn/SCUNetα",
    "accent at the end": "https://github.com/cszn/SCUNeté",
    "Arabic letter at the end": "https://github.com/cszn/SCUNetا",
    "Thai letter at the end": "https://github.com/cszn/SCUNetก",
    "combining mark": "https://github.com/cszn/SCUNet\u0301",
    "Unicode hyphen": "https://github.com/leoxiaobin/deep‑high‑resolution‑net.pytorch",
    "letter at the end of an id": "arXiv:2105.00001б",
    "dash and words at the end": "https://github.com/cszn/SCUNet—the code",
    "reference for a letter": "&#104;ttps://github.com/cszn/SCUNet",
    "reference for a dot": "github&#46;com/cszn/SCUNet",
    "reference for a dot, hexadecimal": "github&#x2e;com/cszn/SCUNet",
    "reference for a dot by name": "github&period;com/cszn/SCUNet",
    "reference for slashes": "https:&sol;&sol;github.com&sol;cszn&sol;SCUNet",
    "reference for a colon": "https&colon;//github.com/cszn/SCUNet",
    "reference for a dot without semicolon": "github&#46com/cszn/SCUNet",
    "reference twice": "github&amp;#46;com/cszn/SCUNet",
    "reference in an id": "arXiv:2105&#46;00001",
    "reference in an address": "a&commat;bad.io",
    "reference at the end": "https://github.com/cszn/SCUNet&#47;",
    "reference for something invisible": "git&ZeroWidthSpace;hub.com/cszn/SCUNet",
    "javascript behind a reference": "[x](java&#115;cript:alert(1))",
    "hxxp": "hxxps://github.com/cszn/SCUNet",
    "hxxp in capitals": "hXXp://bad.io",
    "dot in square brackets": "bad[.]io",
    "dot in round brackets": "bad(.)io",
    "dot in braces": "bad{.}io",
    "dot as a word": "bad[dot]io, bad (dot) io",
    "dot as a bare word": "bad dot io",
    "at as a word": "someone [at] bad [dot] io",
    "colon in brackets": "https[:]//github.com/cszn/SCUNet",
    "supplied with a bracketed dot": "github[.]com/cszn/SCUNet",
    "HTML inside": "github<b>.</b>com/cszn/SCUNet",
    "wbr inside": "https://github.com/cszn/SCUNet<wbr>-fork",
    "comment inside": "git<!-- x -->hub.com/cszn/SCUNet",
    "emphasis inside": "git**hub**.com/cszn/SCUNet",
    "line in the scheme": "https:\n//github.com/cszn/SCUNet",
    "line after the scheme": "https://\ngithub.com/cszn/SCUNet",
    "blank after the scheme": "https:// github.com/cszn/SCUNet",
    "blank in the scheme": "https: //github.com/cszn/SCUNet",
    "blank in the scheme's name": "ht tps://github.com/cszn/SCUNet",
    "blank after www": "www. github.com/cszn/SCUNet",
    "line in the host": "https://git\nhub.com/cszn/SCUNet",
    "blank before the last label": "https://github .com/cszn/SCUNet",
    "blank before the last label, no scheme": "github .com/cszn/SCUNet",
    "blank behind the dot, no scheme": "github. com/cszn/SCUNet",
    "blank after the host": "https://github.com /cszn/SCUNet",
    "line in the owner": "https://github.com/cs\nzn/SCUNet",
    "line after the owner": "https://github.com/cszn/\nSCUNet",
    "line before the repository": "https://github.com/cszn\n/SCUNet",
    "line in the repository": "https://github.com/cszn/SCU\nNet",
    "line in the repository, no scheme": "github.com/cszn/SCU\nNet",
    "blank behind a whole link": "https://github.com/cszn/SCUNet /issues",
    "line behind a whole link": "https://github.com/cszn/SCUNet\n/tree/main",
    "suffix on the next line": "https://arxiv.org/pdf/2105.00001\n.pdf",
    "suffix behind a blank": "https://github.com/cszn/SCUNet .git",
    "suffix behind the dot": "http://arxiv.org/pdf/2105.00001v2. pdf",
    "version on the next line": "https://arxiv.org/abs/2105.00001\nv2",
    "version and suffix behind a blank": "http://arxiv.org/pdf/2105.00001 v2.pdf",
    "query on the next line": "https://github.com/cszn/SCUNet\n?tab=readme",
    "no-break space": "https://github.com/\xa0cszn/SCUNet",
    "ideographic space": "https://github.com/　cszn/SCUNet",
    "tab": "https://github.com/cszn/\tSCUNet",
    "line separator": "https://github.com/cszn/\u2028SCUNet",
    "blank in an id": "arXiv:2105. 00001",
    "blank in a DOI": "doi:10.1016 /S0893-6080(05)80131-5",
    "joined by a bar": "https://github.com/cszn/SCUNet|https://bad.io",
    "joined by a comma": "https://github.com/cszn/SCUNet,https://bad.io",
}


def faults(answer: str) -> list[str]:
    return [
        f"{found.verdict}: {found.text}: {found.reason}"
        for found in check_links(answer, OWNERS)
        if found.verdict != "supplied"
    ]


@pytest.mark.parametrize("answer", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(answer: str) -> None:
    assert faults(answer) == []


@pytest.mark.parametrize("answer", REJECTED.values(), ids=REJECTED.keys())
def test_rejected(answer: str) -> None:
    assert faults(answer)


@pytest.mark.parametrize("answer", REJECTED.values(), ids=REJECTED.keys())
def test_rejected_amid_prose(answer: str) -> None:
    assert faults(f"- **Code:** the code (SCUNet) is at https://github.com/cszn/SCUNet and {answer}\n\nThat is all.")


def test_all_rows_of_the_shared_table() -> None:
    path = SHARED / "urls.jsonl"
    if not path.exists():
        pytest.skip("../shared/urls.jsonl is absent")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = []
    for row in rows:
        owners = {canonical_link(link) or "": (SourceId("P1"),) for link in row["supplied"]}
        accepted = all(found.verdict == "supplied" for found in check_links(row["answer"], owners))
        if accepted != (row["expect"] == "accept"):
            wrong.append((row["id"], row["kind"], row["why"]))
    assert wrong == []
    assert len(rows) == 301


VERDICTS = {
    "https://github.com/cszn/SCUNet": ("supplied", "P3"),
    "https://github.com/cszn/SCUNet2": ("not_supplied", "github:cszn/scunet"),
    "https://arxiv.org/abs/2105.00011": ("not_supplied", "arxiv:2105.00001"),
    "https://bad.io/": ("not_supplied", "none of the supplied"),
    "https://github.com/cszn/\u200bSCUNet": ("disguised", "invisible"),
    "a\u202eb": ("disguised", "direction"),
    "bad[.]io": ("disguised", "put together"),
    "github&#46;com/cszn/SCUNet": ("disguised", "character reference"),
    "github.com/cszn/SCU\nNet": ("not_supplied", "github:cszn/scunet"),
    "<img>": ("forbidden_form", "<img>"),
    "![x](y)": ("forbidden_form", "image"),
    "javascript:go()": ("forbidden_form", "javascript:"),
    "https://me@github.com/cszn/SCUNet": ("forbidden_form", "user name"),
    "https://github.com:1/cszn/SCUNet": ("forbidden_form", "port"),
    "a@bad.io": ("forbidden_form", "e-mail"),
    "[x](y)": ("forbidden_form", "host"),
    "[https://github.com/cszn/SCUNet](https://arxiv.org/abs/2105.00001)": ("mismatched", "github:cszn/scunet is shown"),
}


@pytest.mark.parametrize(("text", "verdict", "reason"), [(text, *expected) for text, expected in VERDICTS.items()])
def test_verdicts_and_reasons(text: str, verdict: str, reason: str) -> None:
    findings = check_links(text, OWNERS)
    worst = [finding for finding in findings if finding.verdict != "supplied"] or list(findings)
    assert worst[0].verdict == verdict
    assert reason in worst[0].reason
    assert all(text[finding.start : finding.end] == finding.text for finding in findings)


def test_all_owners_are_named() -> None:
    owners = {"github:cszn/scunet": (SourceId("M1"), SourceId("P2"))}
    (finding,) = check_links("https://github.com/cszn/SCUNet", owners)
    assert finding.source_ids == ("M1", "P2")
    assert "M1 and P2" in finding.reason


def test_hostile_text_takes_linear_time() -> None:
    before = time.process_time()
    for unit in ("github.com/cszn/ SCUNet ", "https://github.com/cszn/x ", "[a](b)", "arxiv.org/abs/2105.0 "):
        check_links(unit * (100_000 // len(unit)), OWNERS)
    assert time.process_time() - before < 20


LETTERS = st.sampled_from("аеоӏеѕ\u200b\u00ad\u202e。．／：１ａ\u0301\u3164 \n\\")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SUPPLIED[:5]), st.integers(min_value=9, max_value=27), LETTERS)
def test_no_strange_character_passes_inside_a_supplied_link(link: str, place: int, strange: str) -> None:
    assert faults(f"see {link[:place]}{strange}{link[place:]} there")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SUPPLIED[:3]), st.data())
def test_no_other_character_passes_in_place_of_one(link: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(min_value=len("https://") + 1, max_value=len(link) - 5))
    letter = data.draw(st.sampled_from("abcxyz0189-_~!$&+,=@/|^"))
    changed = link[:place] + letter + link[place + 1 :]
    if canonical_link(changed) not in OWNERS:
        assert faults(f"see {changed} there")
