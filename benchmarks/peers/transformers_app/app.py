"""Transformers as most services call it: in the handler, whichever way that is written.

The weights are random, for the speed does not depend on them: only the architecture is real.
"""

import os

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    PreTrainedTokenizerFast,
)

MINILM = BertConfig(
    hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
)
CONFIGS = {"MiniLM-L6": MINILM, "DistilBERT": DistilBertConfig()}
LABELS = ("negative", "positive")

model = AutoModelForSequenceClassification.from_config(CONFIGS[os.environ["ARCHITECTURE"]]).eval()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_file=os.environ["TOKENIZER_FILE"],
    pad_token="[PAD]",
    model_input_names=["input_ids", "attention_mask"],
)
app = FastAPI()


class SentimentRequest(BaseModel):
    texts: list[str]


class TextSentiment(BaseModel):
    text: str
    sentiment: str
    confidence: float


class SentimentAnswer(BaseModel):
    predictions: list[TextSentiment]
    total_processed: int


def classify(asked: SentimentRequest) -> SentimentAnswer:
    encoded = tokenizer(
        asked.texts, padding=True, truncation=True, max_length=512, return_tensors="pt"
    )
    with torch.no_grad():
        probabilities = model(**encoded).logits.softmax(dim=1)
    confidences, classes = probabilities.max(dim=1)
    answers = zip(asked.texts, classes.tolist(), confidences.tolist(), strict=True)
    return SentimentAnswer(
        predictions=[
            TextSentiment(text=text, sentiment=LABELS[number], confidence=confidence)
            for text, number, confidence in answers
        ],
        total_processed=len(asked.texts),
    )


@app.post("/v1/predict/sentiment")
async def on_the_loop(asked: SentimentRequest) -> SentimentAnswer:
    return classify(asked)


@app.post("/in-a-thread/v1/predict/sentiment")
def in_a_thread(asked: SentimentRequest) -> SentimentAnswer:
    return classify(asked)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}
