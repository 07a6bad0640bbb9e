// Starts Azurite's blob service and ends it when standard input does, so that no emulator outlives a killed test run.
"use strict";
const path = require("path");
const [home, port, folder] = process.argv.splice(2);
process.argv.push("--blobPort", port, "--silent", "--disableTelemetry");
process.argv.push(...(folder ? ["--location", folder] : ["--inMemoryPersistence"]));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
require(path.join(home, "node_modules", "azurite", "dist", "src", "blob", "main.js"));
