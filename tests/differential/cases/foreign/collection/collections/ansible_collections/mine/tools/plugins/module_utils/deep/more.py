def end():
    return ' end'
