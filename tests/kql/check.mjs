// Parses and type-checks KQL with Microsoft's own language service against a schema.
//
//   node check.mjs SCHEMA FOLDER [QUERY..]
//
// SCHEMA is a JSON file { table: { column: type } }; FOLDER holds `node_modules`. Queries are read from the files; `-` reads
// one from standard input. Every diagnostic is a failure, and so is a table that no query reads: prints them and exits with 1.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';

const [schemaFile, folder, ...files] = process.argv.slice(2);
const library = path.join(folder, 'node_modules', '@kusto', 'language-service-next');
// The library is written for browsers: it wants to run in the global scope.
for (const script of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  vm.runInThisContext(readFileSync(path.join(library, script), 'utf8'), { filename: script });
}
const { GlobalState, KustoCode, Symbols } = globalThis.Kusto.Language;

const schema = JSON.parse(readFileSync(schemaFile, 'utf8'));
const tables = Object.entries(schema).map(([name, columns]) => {
  const types = Object.entries(columns).map(([column, type]) => `${column}: ${type}`);
  return new Symbols.TableSymbol.$ctor7(name, `(${types.join(', ')})`, null);
});
const database = new Symbols.DatabaseSymbol.ctor('egret', tables);
const globals = GlobalState.Default.WithDatabase(database);

let faults = 0;
const read = new Set();
for (const file of files) {
  const text = readFileSync(file === '-' ? 0 : file, 'utf8');
  const code = KustoCode.ParseAndAnalyze(text, globals);
  for (const found of items(code.GetDiagnostics())) {
    const before = text.slice(0, found.Start).split('\n');
    console.error(`${file}:${before.length}:${before.at(-1).length + 1}: ${found.Severity}: ${found.Message}`);
    faults += 1;
  }
  for (const table of Object.keys(schema)) {
    if (new RegExp(`\\b${table}\\b`).test(text.replace(/\/\/.*/g, ''))) read.add(table);
  }
}
if (files.length > 1) {
  for (const table of Object.keys(schema).filter((name) => !read.has(name))) {
    console.error(`no query reads ${table}`);
    faults += 1;
  }
}
console.log(`${files.length} queries, ${read.size} tables, ${faults} faults`);
process.exit(faults === 0 ? 0 : 1);

function items(list) {
  return Array.from({ length: list.Count }, (_, i) => list.getItem(i));
}
