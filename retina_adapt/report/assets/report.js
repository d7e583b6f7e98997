// The table: sorted, filtered, and one photograph in view, named in the address after '#'.
document.querySelectorAll(".viewer").forEach(activateViewer);
const overview = document.getElementById("overview");
if (overview) {
  const body = overview.tBodies[0], rows = [...body.rows], articles = [...document.querySelectorAll(".detail .photograph")];
  const shown = () => [...body.rows].filter((row) => !row.hidden);

  const open = (number) => {
    rows.forEach((row) => row.setAttribute("aria-current", row.dataset.photograph === number));
    articles.forEach((article) => { article.hidden = article.id !== `photograph-${number}`; });
  };
  const openAddressed = () => {
    const wanted = location.hash.match(/^#photograph-(\d+)$/)?.[1];
    open(rows.some((row) => row.dataset.photograph === wanted) ? wanted : body.rows[0].dataset.photograph);
  };
  const step = (offset) => {
    const visible = shown(), current = visible.findIndex((row) => row.getAttribute("aria-current") === "true");
    const next = visible[Math.max(0, Math.min(visible.length - 1, current + offset))];
    if (!next) return;
    history.replaceState(null, "", `#photograph-${next.dataset.photograph}`);
    open(next.dataset.photograph);
    next.scrollIntoView({ block: "nearest" });
    next.querySelector("a").focus({ preventScroll: true });
  };

  const sortBy = (heading, direction) => {
    const place = heading.cellIndex, sign = direction === "ascending" ? 1 : -1, isText = heading.dataset.sort === "text";
    const value = (row) => row.cells[place].dataset.value;
    rows.sort((a, b) => sign * (isText ? value(a).localeCompare(value(b), undefined, { numeric: true }) : value(a) - value(b)));
    body.append(...rows);
    overview.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", direction);
  };
  overview.querySelectorAll("th[data-sort]").forEach((heading) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      // Words rise first; of numbers, the largest are looked for.
      const first = heading.dataset.sort === "text" ? "ascending" : "descending";
      const other = first === "ascending" ? "descending" : "ascending";
      sortBy(heading, heading.getAttribute("aria-sort") === first ? other : first);
    });
  });

  const find = document.getElementById("find"), onlyWarned = document.getElementById("only-warned");
  const filter = () => {
    const words = find.value.toLowerCase();
    rows.forEach((row) => {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(words) || (onlyWarned.checked && !("warned" in row.dataset));
    });
    document.getElementById("count").value = `${shown().length} of ${rows.length}`;
  };
  find.addEventListener("input", filter);
  onlyWarned.addEventListener("change", filter);
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!row || event.target.closest("a")) return;
    location.hash = `photograph-${row.dataset.photograph}`;
    openAddressed();
  });
  body.addEventListener("keydown", (event) => {
    const offset = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!offset) return;
    event.preventDefault();
    step(offset);
  });
  window.addEventListener("hashchange", openAddressed);
  filter();
  openAddressed();
}
