// What the two programs take of Node.
declare const process: {
  argv: string[];
  stdin: { once(event: "data", listener: () => void): void };
};
