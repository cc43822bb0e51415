// What the figures ask of plotly.js: lines (in its core), heat maps, bars, paths in space, Sankey graphs.
const Plotly = require("plotly.js/lib/core");

Plotly.register([
  require("plotly.js/lib/bar"),
  require("plotly.js/lib/heatmap"),
  require("plotly.js/lib/sankey"),
  require("plotly.js/lib/scatter3d"),
]);

module.exports = Plotly;
