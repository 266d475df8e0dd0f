/** The page of `melmill report`: reads the data that is in it, and shows one output, or two that are compared. */

import "./css/page.css";
import { comparePage } from "./compare/page.js";
import { el } from "./dom.js";
import { reportPage } from "./report_page.js";
import { startTheme } from "./theme.js";

const FORMAT = 1;
const PAGES = { report: reportPage, compare: comparePage };

function start() {
  startTheme();
  const report = JSON.parse(document.getElementById("report").textContent);
  const root = document.getElementById("page");
  if (report.format !== FORMAT || !PAGES[report.kind]) {
    const told = "This page and its data are of different versions of melmill. Make the report again.";
    root.replaceChildren(el("main", {}, el("p", { class: "problem" }, told)));
    return;
  }
  root.replaceChildren(...PAGES[report.kind](report));
}

start();
