"""A page to look at and listen to: what was made, whether it is good, and the utterances that deserve a look.

`page_data` says what the page is given; `folder` writes it beside the clips, so that a browser opens it without a
server. In: the URL of an output, or of two. Out: a folder. It reads an output, and the store that it was made from
while that is there. It must not change either, and must not know Dask, jobs or the command line.
"""

from pipeline.report.current import is_current, published_just_now
from pipeline.report.one_output import write_report
from pipeline.report.report_options import CLIPS, ROWS, ReportOptions, WrittenReport
from pipeline.report.two_outputs import write_comparison

__all__ = [
    "CLIPS",
    "ROWS",
    "ReportOptions",
    "WrittenReport",
    "is_current",
    "published_just_now",
    "write_comparison",
    "write_report",
]
