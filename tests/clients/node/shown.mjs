// What came of a call, as its user would read it: the answer, or the error and what it came from.

export async function shown(call) {
  try {
    console.log(await call(process.argv[2]));
  } catch (error) {
    const texts = [];
    for (let e = error; e; e = e.cause) texts.push(`${e.name}: ${e.message}`);
    console.log(texts.join(' <- '));
    process.exitCode = 1;
  }
}
