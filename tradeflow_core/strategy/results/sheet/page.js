(function () {
  "use strict";
  const DAY = 864e5;
  const ARRAYS = { f4: Float32Array, f8: Float64Array, i2: Int16Array, i4: Int32Array };
  const POINTER = window.matchMedia("(hover: hover)").matches;
  const OPTIONS = {
    responsive: true,
    displaylogo: false,
    displayModeBar: POINTER ? "hover" : false,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
  };
  const page = JSON.parse(document.getElementById("data").textContent);

  function numbers(packed) {
    const bytes = Uint8Array.from(atob(packed.bdata), (letter) => letter.charCodeAt(0));
    return new ARRAYS[packed.dtype](bytes.buffer);
  }

  const dates = page.dates.map((packed) => Array.from(numbers(packed), (day) => new Date(day * DAY).toISOString().slice(0, 10)));

  const narrow = window.innerWidth < 700;

  function ready(trace) {
    const own = trace.x && trace.x.dates !== undefined ? { x: dates[trace.x.dates] } : {};
    return { ...trace, ...own, ...(narrow && trace.type === "bar" ? { textposition: "none" } : {}) };
  }

  function fitted(layout) {
    if (!narrow) { return layout; }
    return { ...layout, margin: { ...layout.margin, l: 40, r: 8 }, xaxis: { ...layout.xaxis, rangeselector: undefined } };
  }

  for (const [place, figure] of Object.entries(page.charts)) {
    Plotly.newPlot(place, figure.data.map(ready), fitted(figure.layout), OPTIONS);
  }

  // One instrument: price, position, profit

  const days = dates[page.instruments.days.dates];
  const weeks = numbers(page.instruments.weeks);
  const choice = document.getElementById("instrument-choice");

  function line(x, y, axis, color, shape, text) {
    return { type: "scatter", mode: "lines", x, y, yaxis: axis, line: { color, width: 1.4, shape }, hovertemplate: text + "<extra></extra>" };
  }

  function showInstrument() {
    const chosen = page.instruments.instruments[choice.value];
    const price = chosen ? numbers(chosen.price) : [];
    const at = Array.from(price, (_, week) => days[weeks[chosen.start + week]]);
    const changes = chosen ? Array.from(numbers(chosen.changes), (day) => days[day]) : [];
    const position = chosen ? Array.from(numbers(chosen.position)) : [];
    if (changes.length) {
      changes.push(days[chosen.end]);
      position.push(position[position.length - 1]);
    }
    Plotly.react("instrument-chart", [
      line(at, Array.from(price), "y", "#647382", "linear", "price %{y:,.4~g}"),
      { ...line(changes, position, "y2", "#2f5d8a", "hv", "%{y:,} contracts"), fill: "tozeroy", fillcolor: "rgba(47,93,138,0.15)" },
      line(at, chosen ? Array.from(numbers(chosen.profit)) : [], "y3", "#4f8a6b", "linear", "net %{y:+,.2f} %"),
    ], fitted(page.instrument_layout), OPTIONS);
  }

  choice.addEventListener("change", showInstrument);
  if (choice.options.length) { showInstrument(); }

  // Tables: sort by a column, filter by a text

  function order(cell) {
    return cell.dataset.v === undefined ? cell.textContent.toLowerCase() : Number(cell.dataset.v);
  }

  function compare(first, second) {
    const missing = (value) => value === "–";
    if (missing(first) || missing(second)) { return missing(first) - missing(second); }
    return typeof first === "number" && typeof second === "number" ? first - second : String(first).localeCompare(String(second));
  }

  function sort(head) {
    const table = head.closest("table");
    const column = head.cellIndex;
    const ascending = head.getAttribute("aria-sort") === "descending";
    const rows = Array.from(table.tBodies[0].rows);
    const known = rows.filter((row) => order(row.cells[column]) !== "–");
    known.sort((a, b) => compare(order(a.cells[column]), order(b.cells[column])) * (ascending ? 1 : -1));
    table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    table.tBodies[0].append(...known, ...rows.filter((row) => order(row.cells[column]) === "–"));
  }

  document.querySelectorAll("table.sortable thead th").forEach((head) => head.addEventListener("click", () => sort(head)));

  document.querySelectorAll(".filter").forEach((box) => box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    box.closest("section").querySelectorAll("table tbody tr").forEach((row) => {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  }));
})();
