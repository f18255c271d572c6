"""What reading a damaged or hostile archive may raise: one list for everything that reads some."""

from __future__ import annotations

import tokenize
import zipfile
import zlib

# zipfile raises RuntimeError for encryption, NotImplementedError for unknown methods and versions,
# and ValueError (UnicodeDecodeError is one) for names that are no text
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)
# numpy reads the headers of .npy and .npz with Python's tokenizer, and believes the shapes in them
NPZ_ERRORS = (*ZIP_ERRORS, tokenize.TokenError, MemoryError)
