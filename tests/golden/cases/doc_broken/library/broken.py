DOCUMENTATION = """
a: [
"""
