"""Authors' and KGAT's data files to RecBole atomic files, and back.

``python -m converters --help`` (or ``diffkg-recbole convert --help``) shows the commands.
"""
