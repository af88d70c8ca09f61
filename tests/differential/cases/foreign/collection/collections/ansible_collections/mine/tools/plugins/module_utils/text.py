from . import words
from .deep.marks import MARK

def polite(name):
    return words.HELLO + ', ' + name + MARK
