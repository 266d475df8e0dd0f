"""Views: an output in the forms that other tools read. `export` makes one.

In: a published output, and `ExportOptions`. Out: a folder that is replaced whole and says of which manifest it is. The
room reads the manifest row by row, chooses, splits and renames, and puts files in place; a module of `formats` turns
one row after the other into what a reader wants, and must know nothing of all that.
"""
