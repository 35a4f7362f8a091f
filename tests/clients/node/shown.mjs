// What came of a call, as its user would read it: the answer, or the error and what it came from.

// The mocks' tenant: a client takes a challenge of no other.
export const TENANT = '00000000-0000-0000-0000-00000000c0de';

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
