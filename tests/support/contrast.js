/* The texts, and the colours of marks in plots, whose contrast against their ground is below that of WCAG 2.2, AA: 4.5
   for texts, 3 for large ones and for marks. Exempt are what is disabled, and texts in bars, whose ground is the bar. */

const LARGE = 24, LARGE_BOLD = 18.66; // pixels
const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

function rgba(css) {
  brush.clearRect(0, 0, 1, 1);
  brush.fillStyle = css;
  brush.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}

function over([r, g, b, a], below) {
  return [r, g, b].map((value, i) => value * a + below[i] * (1 - a)).concat(1);
}

function luminance(colour) {
  const [r, g, b] = colour.slice(0, 3).map((value) => (value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function ratio(one, other) {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

function ground(node) {
  const layers = [];
  for (let each = node; each instanceof Element; each = each.parentElement) {
    const colour = rgba(getComputedStyle(each).backgroundColor);
    if (colour[3] > 0) layers.unshift(colour);
    if (colour[3] === 1) break;
  }
  return layers.reduce((below, colour) => over(colour, below), [255, 255, 255, 1]);
}

function too_weak_texts() {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || node.closest("script, style, noscript, .told, .modebar, #js-plotly-tester, .bartext, :disabled")) continue;
    if (!node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const style = getComputedStyle(node), svg = node.closest("svg");
    const ink = rgba(svg ? style.fill : style.color);
    if (svg) ink[3] *= Number(style.fillOpacity);
    for (let each = node; each; each = each.parentElement) ink[3] *= Number(getComputedStyle(each).opacity);
    const below = ground(svg ? svg.closest(".figure") : node);
    const size = parseFloat(style.fontSize);
    const least = size >= LARGE || (size >= LARGE_BOLD && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const value = ratio(over(ink, below), below);
    if (value < least) found.push(`${text.slice(0, 60)}: ${value.toFixed(2)}`);
  }
  return found;
}

function too_weak_marks() {
  const found = [];
  for (const place of document.querySelectorAll("main .figure")) {
    const below = ground(place);
    for (const trace of place._fullData) {
      const marks = trace.mode?.includes("markers") ? [[trace.marker.color, trace.marker.opacity]] : [];
      if (trace.mode?.includes("lines") && trace.line.width > 0) marks.push([trace.line.color, 1]);
      for (const [colour, opacity] of marks.filter(([each]) => typeof each === "string")) {
        const ink = rgba(colour);
        ink[3] *= (opacity ?? 1) * (trace.opacity ?? 1);
        const value = ratio(over(ink, below), below);
        if (value < 3) found.push(`${place.id}, ${trace.name}: ${value.toFixed(2)}`);
      }
    }
  }
  return found;
}
