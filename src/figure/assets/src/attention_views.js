// @ts-check
// All attention views in one script, for pages that have more than one kind of them.
import "./head.js";
import "./model.js";
import "./neuron.js";
import "./rollout.js";
