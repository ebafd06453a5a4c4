"""RecBole's models where they do not run, or not well, on today's stack.

Each class keeps RecBole's name, and with it RecBole's default settings and trainer; its docstring
says what breaks and what is replaced. What is replaced is tested to be equal. Models that need
nothing (BPR, say) are used as they are.
"""

_NAMES = (
    "CFKG", "CKE", "DiffRec", "EASE", "GCMC", "ItemKNN", "KGAT", "KGCN", "KGIN", "KGNNLS", "KTUP",
    "LightGCN", "MCCLK", "MKR", "MultiVAE", "NeuMF", "NGCF", "Pop", "RippleNet", "SGL",
    "SLIMElastic",
)

# Model name -> module that defines a class of that name.
BASELINES: dict[str, str] = {name: f"{__name__}.{name.lower()}" for name in _NAMES}
