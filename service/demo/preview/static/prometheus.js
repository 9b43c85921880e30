// Prometheus' reading API, by way of the preview's server.

export class PrometheusError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }

  get concernsAll() {
    return this.kind === "no_prometheus" || this.kind === "unreachable";
  }
}

async function ask(path, parameters, signal) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== undefined));
  let answer;
  try {
    answer = await answerOf(await fetch(`/api/v1/${path}?${query}`, { signal }));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new PrometheusError("unreachable", `The preview's server does not answer: ${error.message}`);
  }
  if (answer.status !== "success") throw new PrometheusError(answer.errorType, answer.error);
  return answer.data;
}

// The server itself refuses an address that is too long, because so much was chosen, and not in JSON.
function answerOf(response) {
  if (response.headers.get("Content-Type")?.startsWith("application/json")) return response.json();
  return { status: "error", errorType: "bad_data", error: `${response.status} ${response.statusText}` };
}

// Everything becomes series: labels, and points of [seconds, number].
function series({ resultType, result }) {
  if (resultType === "scalar") return [{ labels: {}, points: [[result[0], Number(result[1])]] }];
  return result.map(({ metric, value, values }) => ({
    labels: metric,
    points: (values ?? [value]).map(([seconds, number]) => [seconds, numberOf(number)]),
  }));
}

function numberOf(text) {
  return text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);
}

export async function queryInstant(query, time, signal) {
  return series(await ask("query", { query, time }, signal));
}

export async function queryRange(query, start, end, step, signal) {
  return series(await ask("query_range", { query, start, end, step }, signal));
}

export async function queryExemplars(query, start, end, signal) {
  const found = await ask("query_exemplars", { query, start, end }, signal);
  return found.flatMap(({ seriesLabels, exemplars }) =>
    exemplars.map(({ labels, value, timestamp }) => ({
      seriesLabels, labels, value: Number(value), seconds: timestamp,
    })));
}

export function labelValues(label, selector, start, end, signal) {
  return ask(`label/${label}/values`, { "match[]": selector, start, end }, signal);
}

// The longest usual time between two scrapes of a target; without samples, Grafana's default.
export async function scrapeSeconds(end, signal) {
  const targets = await queryInstant("up[5m]", end, signal);
  const usual = targets.map(({ points }) => {
    const gaps = points.slice(1).map(([seconds], index) => seconds - points[index][0]);
    return gaps.sort((one, other) => one - other)[Math.floor(gaps.length / 2)];
  });
  const longest = Math.max(...usual.filter((seconds) => seconds > 0));
  return Number.isFinite(longest) ? Math.max(1, Math.round(longest)) : 15;
}
