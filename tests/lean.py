"""Leaves out of this process a parser that nbformat would build, for two seconds.

It would check addresses that no notebook here holds.
"""

import sys

sys.modules["rfc3987_syntax"] = None
