// Starts Azurite's blob service and ends it when standard input does, so that no emulator outlives a killed test run.
"use strict";
const path = require("path");
const [home, port, folder] = process.argv.splice(2);
process.argv.push("--blobPort", port, "--silent", "--disableTelemetry");
process.argv.push(...(folder ? ["--location", folder] : ["--inMemoryPersistence"]));
// Every ten minutes it removes what was overwritten, one by one, each time sorting all that is left: with some thousand
// blobs it answers nobody for minutes. No emulator of ours lives so long that it has to.
const constants = require(path.join(home, "node_modules", "azurite", "dist", "src", "blob", "utils", "constants.js"));
constants.DEFAULT_GC_INTERVAL_MS = 2 ** 31 - 1;
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
require(path.join(home, "node_modules", "azurite", "dist", "src", "blob", "main.js"));
