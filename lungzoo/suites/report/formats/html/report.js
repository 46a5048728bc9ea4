"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, place) => {
    heading.querySelector("button").addEventListener("click", () => {
      const turn = heading.getAttribute("aria-sort") === "descending" ? 1 : -1;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
      const key = (row) => row.cells[place].dataset.key ?? row.cells[place].textContent;
      const numbers = [...table.tBodies[0].rows].every((row) => key(row) === "" || !Number.isNaN(Number(key(row))));
      const sorted = [...table.tBodies[0].rows].sort((a, b) => {
        const [one, other] = [key(a), key(b)];
        if (one === "" || other === "") return (one === "") - (other === "");  // what is unknown goes last
        return turn * (numbers ? Number(one) - Number(other) : one.localeCompare(other));
      });
      table.tBodies[0].append(...sorted);
    });
  });
}
