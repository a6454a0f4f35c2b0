"""How figures look, by language: a point before decimals in all, or SVG and JSON in pages break.

Thousands are apart by a comma, or by a thin space where a comma would be read as the point.
"""
