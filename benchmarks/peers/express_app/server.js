// The enriched product as an Express team writes it: pg's pool, global fetch, Promise.all, node-redis.
import express from 'express';
import pg from 'pg';
import { createClient } from 'redis';

const { DATABASE_URL, REDIS_URL, REVIEWS_URL, INVENTORY_URL, PORT, CACHE_SECONDS } = process.env;
const cacheSeconds = Number(CACHE_SECONDS ?? 0);

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 20 });
const redis = createClient({ url: REDIS_URL });
await redis.connect();

async function productOf(id) {
  const { rows } = await pool.query('SELECT * FROM products WHERE id = $1', [id]);
  if (rows.length === 0) return null;
  const { price_amount, price_currency, ...row } = rows[0];
  return {
    ...row,
    id: Number(row.id),
    rating: Number(row.rating),
    price: { amount: price_amount, currency: price_currency },
  };
}

async function fetchOr(url, fallback) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    return response.ok ? await response.json() : fallback;
  } catch {
    return fallback;
  }
}

async function enrich(id) {
  const [product, reviews, inventory] = await Promise.all([
    productOf(id),
    fetchOr(`${REVIEWS_URL}/products/${id}/reviews`, []),
    fetchOr(`${INVENTORY_URL}/products/${id}`, {}),
  ]);
  return product && { ...product, reviews, inventory };
}

async function cachedEnrich(id) {
  const key = `express:product:${id}`;
  const hit = await redis.get(key);
  if (hit) return JSON.parse(hit);
  const enriched = await enrich(id);
  if (enriched) await redis.set(key, JSON.stringify(enriched), { EX: cacheSeconds });
  return enriched;
}

const app = express();

app.get('/product/:id/enriched', async (request, response) => {
  const started = performance.now();
  const find = cacheSeconds > 0 ? cachedEnrich : enrich;
  const enriched = await find(Number(request.params.id));
  if (!enriched) return response.status(404).json({ detail: 'no such product' });
  response.json({ ...enriched, processing_time_ms: performance.now() - started });
});

const server = app.listen(Number(PORT), '127.0.0.1');
server.keepAliveTimeout = 75_000; // as behind a proxy: the generator's connections stay open
