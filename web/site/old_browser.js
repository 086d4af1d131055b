// Runs only where ES modules are unknown, which is where nothing else here runs.
document.getElementById("stage").textContent = "This browser is too old";
document.getElementById("hint").textContent = "LiteRT.js needs WebAssembly with SIMD. Update it.";
