"""The service's own table, read only: its schema belongs to the service's migrations."""

from typing import ClassVar

from django.db import models


class Product(models.Model):
    id = models.BigIntegerField(primary_key=True)
    sku = models.TextField()
    name = models.TextField()
    description = models.TextField()
    category = models.TextField()
    brand = models.TextField()
    price_amount = models.DecimalField(max_digits=12, decimal_places=2)
    price_currency = models.CharField(max_length=3)
    rating = models.DecimalField(max_digits=2, decimal_places=1)
    attributes = models.JSONField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "products"
        app_label = "django_app"
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.sku
