"""One route."""

from django.urls import path

from .views import enriched

urlpatterns = [path("product/<int:product_id>/enriched", enriched)]
